package kappa.interop;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;

/** Runs Kafka Streams on the broker until everything of its inputs is processed and committed. */
final class Streams {
    private static final Duration PATIENCE = Duration.ofSeconds(80);
    private static final Duration PACE = Duration.ofMillis(100);
    private static final List<String> INPUTS = List.of("clicks", "people", "cities", "orders", "payments", "prices");

    private Streams() {}

    static void run(String brokers, String applicationId, String inputs, String outputs) throws Exception {
        var state = Files.createTempDirectory("kappa-interop");
        try (var streams = new KafkaStreams(Shop.topology(inputs, outputs), settings(brokers, applicationId, state))) {
            streams.start();
            Map<String, Object> settings = Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
            try (var admin = Admin.create(settings)) {
                // In the order in which records go: when these are committed, what follows from them is in the next.
                await(admin, applicationId, topic -> INPUTS.stream().anyMatch(name -> topic.equals(inputs + "-" + name)));
                for (var end : List.of("-repartition", "-registration-topic", "-response-topic")) {
                    await(admin, applicationId, topic -> topic.startsWith(applicationId + "-") && topic.endsWith(end));
                }
            }
        } finally {
            remove(state);
        }
    }

    private static Properties settings(String brokers, String applicationId, Path state) {
        var properties = new Properties();
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, applicationId);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, "org.apache.kafka.common.serialization.Serdes$StringSerde");
        properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, "org.apache.kafka.common.serialization.Serdes$StringSerde");
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        // Inputs are merged by time, as kappa merges them: what is there is waited for.
        properties.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, 0);
        // Every update is passed on, so that the test sees each result's headers and times.
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        // A left join looks for records without a match whenever one may be due, as kappa does.
        properties.put("__emit.interval.ms.kstreams.outer.join.spurious.results.fix__", 0L);
        properties.put("auto.offset.reset", "earliest");
        return properties;
    }

    private static void await(Admin admin, String group, Predicate<String> topic) throws Exception {
        var names = admin.listTopics().names().get().stream().filter(topic).toList();
        var wanted = new HashMap<TopicPartition, OffsetSpec>();
        for (var description : admin.describeTopics(names).allTopicNames().get().values()) {
            description.partitions().forEach(info ->
                wanted.put(new TopicPartition(description.name(), info.partition()), OffsetSpec.latest()));
        }
        var ends = admin.listOffsets(wanted).all().get().entrySet().stream()
            .collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue().offset()));
        var deadline = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            var left = ends.entrySet().stream()
                .filter(end -> end.getValue() > 0 && (committed.get(end.getKey()) == null || committed.get(end.getKey()).offset() < end.getValue()))
                .toList();
            if (left.isEmpty()) {
                return;
            }
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("not processed within " + PATIENCE + ": " + left);
            }
            Thread.sleep(PACE.toMillis());
        }
    }

    private static void remove(Path state) throws Exception {
        try (var paths = Files.walk(state)) {
            for (var path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
