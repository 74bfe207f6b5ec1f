package kappa.interop;

import static java.time.Duration.ofMillis;

import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TableJoined;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The application of integration-tests/tests/interop/shop.rs, operator by operator and with the same names. */
final class Shop {
    private static final Serde<String> TEXT = Serdes.String();

    private final StreamsBuilder builder = new StreamsBuilder();
    private final String inputs;
    private final String outputs;

    private Shop(String inputs, String outputs) {
        this.inputs = inputs;
        this.outputs = outputs;
    }

    /** The application; the arguments are the prefixes of its topics. */
    static Topology topology(String inputs, String outputs) {
        var shop = new Shop(inputs, outputs);
        shop.windows();
        shop.pages();
        shop.joins();
        return shop.builder.build();
    }

    private String in(String name) {
        return inputs + "-" + name;
    }

    private String out(String name) {
        return outputs + "-" + name;
    }

    private KStream<String, String> stream(String name) {
        return builder.stream(in(name), Consumed.with(TEXT, TEXT));
    }

    private void windows() {
        var clicks = stream("clicks").groupByKey(Grouped.with(TEXT, TEXT));
        var tumbling = clicks.windowedBy(TimeWindows.ofSizeAndGrace(ofMillis(10_000), ofMillis(5_000))).count(Materialized.as("tumbling"));
        timed(tumbling, 10_000, "tumbling");
        var closed = tumbling.suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()).withName("closed"));
        timed(closed, 10_000, "closed");
        timed(clicks.windowedBy(TimeWindows.ofSizeAndGrace(ofMillis(10_000), ofMillis(2_000)).advanceBy(ofMillis(4_000)))
            .count(Materialized.as("hopping")), 10_000, "hopping");
        timed(clicks.windowedBy(SlidingWindows.ofTimeDifferenceAndGrace(ofMillis(3_000), ofMillis(2_000)))
            .count(Materialized.as("sliding")), 3_000, "sliding");
        clicks.windowedBy(SessionWindows.ofInactivityGapAndGrace(ofMillis(2_000), ofMillis(1_000))).count(Materialized.as("sessions"))
            .toStream().to(out("sessions"), Produced.with(WindowedSerdes.sessionWindowedSerdeFrom(String.class), Serdes.Long()));
    }

    private void timed(KTable<Windowed<String>, Long> counts, long sizeMs, String name) {
        var key = WindowedSerdes.timeWindowedSerdeFrom(String.class, sizeMs);
        counts.toStream().to(out(name), Produced.with(key, Serdes.Long()));
    }

    private void pages() {
        stream("clicks").groupBy((user, page) -> page, Grouped.with("pages", TEXT, TEXT))
            .count(Materialized.as("pages")).toStream().to(out("pages"), Produced.with(TEXT, Serdes.Long()));
    }

    /** Many people live in one city: {@code people-17} in {@code user-5}. */
    private static String cityOf(String person) {
        return "user-" + Integer.parseInt(person.substring(person.indexOf('-') + 1)) % 24;
    }

    private void joins() {
        Materialized<String, String, KeyValueStore<Bytes, byte[]>> people = Materialized.as("people");
        var table = builder.table(in("people"), Consumed.with(TEXT, TEXT), people);
        var cities = builder.table(in("cities"), Consumed.with(TEXT, TEXT),
            Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("cities"));
        table.join(cities, Shop::cityOf, (city, mayor) -> city + " of " + mayor, TableJoined.as("located"),
            Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("located")).toStream().to(out("located"), Produced.with(TEXT, TEXT));
        var orders = stream("orders");
        orders.join(table, (order, city) -> order + " to " + city, Joined.with(TEXT, TEXT, TEXT)).to(out("sent"), Produced.with(TEXT, TEXT));

        var windows = JoinWindows.ofTimeDifferenceAndGrace(ofMillis(1_000), ofMillis(4_000));
        orders.leftJoin(stream("payments"), (order, payment) -> order + " by " + payment, windows,
                StreamJoined.with(TEXT, TEXT, TEXT).withName("paid").withStoreName("paid"))
            .to(out("paid"), Produced.with(TEXT, TEXT));

        Materialized<String, String, KeyValueStore<Bytes, byte[]>> prices =
            Materialized.as(Stores.persistentVersionedKeyValueStore("prices", ofMillis(60_000)));
        var versions = builder.table(in("prices"), Consumed.with(TEXT, TEXT), prices);
        orders.join(versions, (order, price) -> order + " at " + price, Joined.with(TEXT, TEXT, TEXT)).to(out("priced"), Produced.with(TEXT, TEXT));
    }
}
