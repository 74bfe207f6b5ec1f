package kappa.bench;

import java.io.PrintStream;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KafkaStreams.State;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * {@code run}: one query over all bids there are, exactly-once, then a line of JSON with what it cost. The output
 * topic must be there.
 */
public final class Main {

    private static final long LOOK_EVERY_MS = 100;
    private static final Duration CLOSE_DEADLINE = Duration.ofSeconds(60);

    private Main() {
    }

    public static void main(String[] words) throws Exception {
        if (words.length == 0 || !words[0].equals("run")) {
            System.err.println("usage: run --brokers B --query q0|count-local|count --format json|bin --app-id A"
                    + " --state-dir D --output T [--commit-ms 100] [--cache-mb 64] [--threads 1]");
            System.exit(2);
        }
        run(Options.parse(Arrays.copyOfRange(words, 1, words.length)), System.out);
    }

    private static void run(Options options, PrintStream out) throws Exception {
        String application = options.text("app-id");
        String format = options.text("format");
        String input = "nexmark-bid-" + format;
        CountDownLatch up = new CountDownLatch(1);
        AtomicReference<Throwable> failure = new AtomicReference<>();
        double[] start = new double[2];
        double wall;
        double cpu;
        long threads;
        long records;
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", options.text("brokers")))) {
            Drain drain = new Drain(admin, application, input);
            records = drain.inputRecords;
            KafkaStreams streams = new KafkaStreams(
                    Queries.topology(options.text("query"), input, Queries.serde(format), options.text("output")),
                    config(options));
            streams.setUncaughtExceptionHandler(e -> {
                failure.set(e);
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.setStateListener((now, before) -> {
                if (now == State.RUNNING && up.getCount() > 0) {
                    start[0] = ProcessStats.wallSeconds();
                    start[1] = ProcessStats.cpuSeconds();
                }
                if (now == State.RUNNING || now == State.ERROR) {
                    up.countDown();
                }
            });
            streams.start();
            up.await();
            while (failure.get() == null && !drain.drained()) {
                Thread.sleep(LOOK_EVERY_MS);
            }
            wall = ProcessStats.wallSeconds() - start[0];
            cpu = ProcessStats.cpuSeconds() - start[1];
            threads = ProcessStats.threads();
            // Leaving the group keeps the broker from waiting for this member.
            streams.close(CloseOptions.timeout(CLOSE_DEADLINE)
                    .withGroupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP));
        }
        if (failure.get() != null) {
            throw new IllegalStateException("the application failed", failure.get());
        }
        out.printf(Locale.ROOT,
                "{\"input_records\":%d,\"wall_s\":%.6f,\"cpu_s\":%.6f,\"cpu_total_s\":%.6f,\"start_cpu_s\":%.6f,"
                        + "\"peak_rss_mib\":%.3f,\"threads\":%d,\"version\":\"%s\",\"java\":\"%s\"}%n",
                records, wall, cpu, ProcessStats.cpuSeconds(), start[1], ProcessStats.peakRssKib() / 1024.0,
                threads, AppInfoParser.getVersion(), Runtime.version());
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
        return config;
    }
}
