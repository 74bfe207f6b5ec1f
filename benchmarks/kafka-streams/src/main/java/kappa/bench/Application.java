package kappa.bench;

import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KafkaStreams.State;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** A query's application, from its options to its close. */
final class Application implements AutoCloseable {

    private static final Duration CLOSE_DEADLINE = Duration.ofSeconds(60);

    final KafkaStreams streams;
    private final CountDownLatch up = new CountDownLatch(1);
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private volatile double runningWall;
    private volatile double runningCpu;

    Application(Options options) {
        String format = options.text("format");
        streams = new KafkaStreams(Queries.topology(options.text("query"), inputs(options), format,
                options.text("output")), config(options));
        streams.setUncaughtExceptionHandler(e -> {
            failure.set(e);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            if (now == State.RUNNING && up.getCount() > 0) {
                runningWall = ProcessStats.wallSeconds();
                runningCpu = ProcessStats.cpuSeconds();
            }
            if (now == State.RUNNING || now == State.ERROR) {
                up.countDown();
            }
        });
    }

    /** The topics with what the query reads. */
    static List<String> inputs(Options options) {
        String named = options.has("input") ? options.text("input") : "nexmark-bid-" + options.text("format");
        return List.of(named.split(","));
    }

    /** Starts, and waits until all tasks are assigned and restored. */
    void startAndAwaitRunning() throws InterruptedException {
        streams.start();
        up.await();
        check();
    }

    double wallSinceRunning() {
        return ProcessStats.wallSeconds() - runningWall;
    }

    double cpuSinceRunning() {
        return ProcessStats.cpuSeconds() - runningCpu;
    }

    double cpuToRunning() {
        return runningCpu;
    }

    /** Throws what made the application fail, if anything has. */
    void check() {
        if (failure.get() != null) {
            throw new IllegalStateException("the application failed", failure.get());
        }
    }

    /** Leaves the group as well: otherwise the broker waits for this member until its session has timed out. */
    @Override
    public void close() {
        streams.close(CloseOptions.timeout(CLOSE_DEADLINE)
                .withGroupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP));
    }

    private static Properties config(Options options) {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, options.text("app-id"));
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.text("brokers"));
        config.put(StreamsConfig.STATE_DIR_CONFIG, options.text("state-dir"));
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, options.number("commit-ms", 100));
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, options.number("cache-mb", 64) * 1024 * 1024);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, (int) options.number("threads", 1));
        config.put(StreamsConfig.NUM_STANDBY_REPLICAS_CONFIG, 0);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        config.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        // Changelogs of windows expire by the records' time, and that lies years back.
        config.put(StreamsConfig.WINDOW_STORE_CHANGE_LOG_ADDITIONAL_RETENTION_MS_CONFIG,
                Duration.ofDays(36_500).toMillis());
        if (options.has("instance-id")) {
            config.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG),
                    options.text("instance-id"));
        }
        return config;
    }
}
