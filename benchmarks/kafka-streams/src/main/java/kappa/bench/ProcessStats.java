package kappa.bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/** What this process has used. */
final class ProcessStats {

    private static final double NANOS = 1e9;
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private ProcessStats() {
    }

    /** CPU seconds of all threads, user and system. */
    static double cpuSeconds() {
        return SYSTEM.getProcessCpuTime() / NANOS;
    }

    static double wallSeconds() {
        return System.nanoTime() / NANOS;
    }

    static long peakRssKib() throws IOException {
        return status("VmHWM:");
    }

    static long threads() throws IOException {
        return status("Threads:");
    }

    private static long status(String field) throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith(field))
                .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")))
                .findFirst()
                .orElse(0);
    }
}
