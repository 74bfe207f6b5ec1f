package kappa.bench;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Whether an application has committed all of its input, and all that it sent to itself because of it. */
final class Drain {

    private final Admin admin;
    private final String application;
    private final Map<TopicPartition, Long> inputEnds;
    final long inputRecords;

    Drain(Admin admin, String application, List<String> inputs) throws ExecutionException, InterruptedException {
        this.admin = admin;
        this.application = application;
        inputEnds = offsets(inputs, OffsetSpec.latest());
        inputRecords = sum(inputEnds) - sum(offsets(inputs, OffsetSpec.earliest()));
    }

    /**
     * Commits are read before the ends of the repartition topics are: what was sent there after the commits
     * shows as an end beyond them. A position commits past the transaction markers, so ends are reached exactly.
     */
    boolean drained() throws ExecutionException, InterruptedException {
        Map<TopicPartition, OffsetAndMetadata> commits =
                admin.listConsumerGroupOffsets(application).partitionsToOffsetAndMetadata().get();
        return reached(commits, inputEnds) && reached(commits, offsets(repartitionTopics(), OffsetSpec.latest()));
    }

    /** Repartition topics, and those of joins by foreign keys, which have names of their own. */
    private List<String> repartitionTopics() throws ExecutionException, InterruptedException {
        return admin.listTopics().names().get().stream()
                .filter(name -> name.startsWith(application + "-")
                        && (name.endsWith("-repartition") || name.endsWith("-topic")))
                .toList();
    }

    private Map<TopicPartition, Long> offsets(Collection<String> topics, OffsetSpec which)
            throws ExecutionException, InterruptedException {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        for (TopicDescription topic : admin.describeTopics(topics).allTopicNames().get().values()) {
            topic.partitions().forEach(p -> asked.put(new TopicPartition(topic.name(), p.partition()), which));
        }
        return admin.listOffsets(asked).all().get().entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().offset()));
    }

    private static boolean reached(Map<TopicPartition, OffsetAndMetadata> commits, Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(end -> {
            OffsetAndMetadata commit = commits.get(end.getKey());
            return (commit == null ? 0 : commit.offset()) >= end.getValue();
        });
    }

    private static long sum(Map<TopicPartition, Long> offsets) {
        return offsets.values().stream().mapToLong(Long::longValue).sum();
    }
}
