package kappa.interop;

import java.util.ArrayList;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java producer as it comes: its own partitioner, nothing set. */
final class Produce {
    private Produce() {}

    static void run(String brokers) throws Exception {
        Map<String, Object> settings = Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        var sent = new ArrayList<Future<RecordMetadata>>();
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (var line : Lines.in()) {
                var topic = line.get("topic").asText();
                var headers = Lines.headers(line.get("headers"));
                var key = Lines.bytes(line.get("key"));
                var value = Lines.bytes(line.get("value"));
                var timestamp = line.get("timestamp").asLong();
                sent.add(producer.send(new ProducerRecord<>(topic, null, timestamp, key, value, headers)));
            }
            producer.flush();
        }
        for (var future : sent) {
            var metadata = future.get();
            Lines.out(Lines.JSON.createObjectNode().put("partition", metadata.partition()).put("offset", metadata.offset()));
        }
    }
}
