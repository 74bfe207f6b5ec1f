package kappa.interop;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.LongDeserializer;

/** The Java consumer, with the deserializers that a reader of windowed results uses. */
final class Consume {
    private static final Duration POLL = Duration.ofMillis(200);

    private Consume() {}

    static void run(String brokers, String isolation, String form, List<String> topics) throws Exception {
        if (form.equals("bytes")) {
            read(brokers, topics, isolation, new ByteArrayDeserializer(), new ByteArrayDeserializer(), (record, line) -> {
                line.put("key", Lines.hex(record.key()));
                line.put("value", Lines.hex(record.value()));
            });
        } else {
            read(brokers, topics, isolation, Keys.deserializer(form), new LongDeserializer(), (record, line) -> {
                Keys.put(line, record.key());
                line.put("value", record.value());
            });
        }
    }

    private interface Form<K, V> {
        void put(ConsumerRecord<K, V> record, ObjectNode line);
    }

    private static <K, V> void read(String brokers, List<String> topics, String isolation, Deserializer<K> key,
            Deserializer<V> value, Form<K, V> form) throws Exception {
        Map<String, Object> settings = Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers,
            ConsumerConfig.ISOLATION_LEVEL_CONFIG, isolation,
            ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, 50);
        try (var consumer = new KafkaConsumer<>(settings, key, value)) {
            var partitions = topics.stream().flatMap(topic -> consumer.partitionsFor(topic).stream())
                .map(info -> new TopicPartition(info.topic(), info.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            // In read_committed this is the last stable offset.
            var ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                for (var record : consumer.poll(POLL)) {
                    var line = Lines.JSON.createObjectNode();
                    line.put("topic", record.topic()).put("partition", record.partition()).put("offset", record.offset());
                    line.put("timestamp", record.timestamp());
                    form.put(record, line);
                    line.set("headers", Lines.headers(record.headers()));
                    Lines.out(line);
                }
            }
        }
    }
}
