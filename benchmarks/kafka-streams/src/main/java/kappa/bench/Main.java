package kappa.bench;

import java.io.PrintStream;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.utils.AppInfoParser;

/**
 * {@code run}: one query, exactly-once; with {@code --stop-at-end} over all bids there are, then a line of JSON with
 * what it cost, else until it is told to end. {@code restore}: starts an application that has run before, and says
 * what it cost until it runs again. The output topic must be there.
 */
public final class Main {

    private static final long LOOK_EVERY_MS = 100;
    private static final double MEBI = 1024.0;

    private Main() {
    }

    public static void main(String[] words) throws Exception {
        String command = words.length == 0 ? "" : words[0];
        if (!command.equals("run") && !command.equals("restore")) {
            System.err.println("usage: run|restore --brokers B --query q0|q2|count-local|count|count-unique|q3|q4|q5|q7|q8"
                    + " --format json|bin --app-id A --state-dir D --output T [--input T,...] [--commit-ms 100]"
                    + " [--cache-mb 64] [--threads 1] [--instance-id I] [--stop-at-end]");
            System.exit(2);
        }
        Options options = Options.parse(Arrays.copyOfRange(words, 1, words.length));
        if (command.equals("restore")) {
            restore(options, System.out);
        } else if (options.has("stop-at-end")) {
            run(options, System.out);
        } else {
            runForGood(options, System.out);
        }
    }

    private static void run(Options options, PrintStream out) throws Exception {
        double wall;
        double cpu;
        double startCpu;
        long threads;
        long records;
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", options.text("brokers")))) {
            Drain drain = new Drain(admin, options.text("app-id"), Application.inputs(options));
            records = drain.inputRecords;
            try (Application application = new Application(options)) {
                application.startAndAwaitRunning();
                while (!drain.drained()) {
                    application.check();
                    Thread.sleep(LOOK_EVERY_MS);
                }
                wall = application.wallSinceRunning();
                cpu = application.cpuSinceRunning();
                startCpu = application.cpuToRunning();
                threads = ProcessStats.threads();
                application.check();
            }
        }
        out.printf(Locale.ROOT,
                "{\"input_records\":%d,\"wall_s\":%.6f,\"cpu_s\":%.6f,\"cpu_total_s\":%.6f,\"start_cpu_s\":%.6f,"
                        + "\"peak_rss_mib\":%.3f,\"threads\":%d,\"version\":\"%s\",\"java\":\"%s\"}%n",
                records, wall, cpu, ProcessStats.cpuSeconds(), startCpu, ProcessStats.peakRssKib() / MEBI,
                threads, AppInfoParser.getVersion(), Runtime.version());
    }

    private static void restore(Options options, PrintStream out) throws Exception {
        RestoreMeter meter = new RestoreMeter();
        double startWall = ProcessStats.wallSeconds();
        double startCpu = ProcessStats.cpuSeconds();
        double wall;
        double cpu;
        long threads;
        try (Application application = new Application(options)) {
            application.streams.setGlobalStateRestoreListener(meter);
            application.startAndAwaitRunning();
            wall = ProcessStats.wallSeconds() - startWall;
            cpu = ProcessStats.cpuSeconds() - startCpu;
            threads = ProcessStats.threads();
        }
        out.printf(Locale.ROOT,
                "{\"input_records\":%d,\"wall_s\":%.6f,\"restoring_s\":%.6f,\"cpu_s\":%.6f,\"cpu_total_s\":%.6f,"
                        + "\"start_cpu_s\":%.6f,\"peak_rss_mib\":%.3f,\"threads\":%d}%n",
                meter.records(), wall, meter.seconds(), cpu, ProcessStats.cpuSeconds(), startCpu,
                ProcessStats.peakRssKib() / MEBI, threads);
    }

    private static void runForGood(Options options, PrintStream out) throws Exception {
        try (Application application = new Application(options)) {
            Runtime.getRuntime().addShutdownHook(new Thread(application::close));
            application.startAndAwaitRunning();
            out.println("running");
            while (true) {
                application.check();
                Thread.sleep(LOOK_EVERY_MS);
            }
        }
    }
}
