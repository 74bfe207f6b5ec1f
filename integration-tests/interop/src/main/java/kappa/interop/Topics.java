package kappa.interop;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** What the broker says of topics, asked for by Java's clients. */
final class Topics {
    private Topics() {}

    /** One line a topic: every setting by name, and the names of those that were given when it was created. */
    static void configs(String brokers, List<String> topics) throws Exception {
        var asked = topics.stream().map(topic -> new ConfigResource(ConfigResource.Type.TOPIC, topic)).toList();
        Map<String, Object> settings = Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        try (var admin = Admin.create(settings)) {
            var configs = admin.describeConfigs(asked).all().get();
            var partitions = admin.describeTopics(topics).allTopicNames().get();
            for (var resource : asked) {
                var line = Lines.JSON.createObjectNode().put("topic", resource.name());
                line.put("partitions", partitions.get(resource.name()).partitions().size());
                var all = line.putObject("configs");
                var given = line.putArray("given");
                for (var entry : configs.get(resource).entries()) {
                    all.put(entry.name(), entry.value());
                    if (entry.source() == org.apache.kafka.clients.admin.ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG) {
                        given.add(entry.name());
                    }
                }
                Lines.out(line);
            }
        }
    }

    static void offsets(String brokers, String topic) throws Exception {
        Map<String, Object> settings = Map.of(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var partitions = consumer.partitionsFor(topic).stream()
                .collect(Collectors.toMap(info -> info.partition(), info -> new TopicPartition(topic, info.partition())));
            var beginnings = consumer.beginningOffsets(partitions.values());
            var ends = consumer.endOffsets(partitions.values());
            for (var partition : partitions.values()) {
                Lines.out(Lines.JSON.createObjectNode().put("partition", partition.partition())
                    .put("beginning", beginnings.get(partition)).put("end", ends.get(partition)));
            }
        }
    }
}
