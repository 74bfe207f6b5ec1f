package kappa.bench;

import java.util.List;
import java.util.Set;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/** The queries, in the DSL as anybody would write them. */
final class Queries {

    private static final Serde<Long> LONG = Serdes.Long();
    private static final long Q2_EVERY = 123;
    private static final byte[] NOTHING = {};
    /** Those with joins and windows. */
    private static final Set<String> SITE = Set.of("q3", "q4", "q5", "q7", "q8");

    private Queries() {
    }

    private static Serde<Bid> serde(String format) {
        return switch (format) {
            case "json" -> Serdes.serdeFrom(JsonBid.SERIALIZER, JsonBid.DESERIALIZER);
            case "bin" -> Serdes.serdeFrom(BinBid.SERIALIZER, BinBid.DESERIALIZER);
            default -> throw new IllegalArgumentException("no format " + format);
        };
    }

    static Topology topology(String query, List<String> inputs, String format, String output) {
        StreamsBuilder builder = new StreamsBuilder();
        if (SITE.contains(query)) {
            Site.build(query, builder, inputs, output);
            return builder.build();
        }
        Serde<Bid> serde = serde(format);
        KStream<Long, Bid> bids = builder.stream(inputs.get(0), Consumed.with(LONG, serde));
        switch (query) {
            case "q0" -> bids.to(output, Produced.with(LONG, serde));
            case "q2" -> bids.filter((auction, bid) -> auction % Q2_EVERY == 0)
                    .mapValues(bid -> new AuctionPrice(bid.auction(), bid.price()))
                    .to(output, Produced.with(LONG, AuctionPrice.SERDE));
            case "count-local" -> count(bids.groupByKey(Grouped.with(LONG, serde)), output);
            case "count" -> count(bids.selectKey((auction, bid) -> bid.bidder())
                    .groupByKey(Grouped.with("by-bidder", LONG, serde)), output);
            // No more than the key goes through the repartition topic: its values are empty.
            case "count-unique" -> count(bids.map((auction, bid) -> KeyValue.pair(auction << 32 | bid.price(), NOTHING))
                    .groupByKey(Grouped.with("by-auction-and-price", LONG, Serdes.ByteArray())), output);
            default -> throw new IllegalArgumentException("no query " + query);
        }
        return builder.build();
    }

    private static void count(KGroupedStream<Long, ?> groups, String output) {
        groups.count(Materialized.<Long, Long, KeyValueStore<Bytes, byte[]>>as("counts")
                        .withKeySerde(LONG).withValueSerde(LONG))
                .toStream()
                .to(output, Produced.with(LONG, LONG));
    }
}
