package kappa.bench;

import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.processor.StateRestoreListener;

/** Counts what is restored, and how long that takes: from the first store's start to the last one's end. */
final class RestoreMeter implements StateRestoreListener {

    private static final double NANOS = 1e9;

    private final AtomicLong records = new AtomicLong();
    private final AtomicLong firstStart = new AtomicLong(Long.MAX_VALUE);
    private final AtomicLong lastEnd = new AtomicLong(Long.MIN_VALUE);

    @Override
    public void onRestoreStart(TopicPartition partition, String store, long startOffset, long endOffset) {
        firstStart.accumulateAndGet(System.nanoTime(), Math::min);
    }

    @Override
    public void onBatchRestored(TopicPartition partition, String store, long batchEndOffset, long count) {
        records.addAndGet(count);
    }

    @Override
    public void onRestoreEnd(TopicPartition partition, String store, long total) {
        lastEnd.accumulateAndGet(System.nanoTime(), Math::max);
    }

    long records() {
        return records.get();
    }

    double seconds() {
        return records() == 0 ? 0 : (lastEnd.get() - firstStart.get()) / NANOS;
    }
}
