package kappa.bench;

import java.time.Duration;
import java.util.List;
import java.util.Set;
import kappa.bench.Results.CategoryAverage;
import kappa.bench.Results.Closing;
import kappa.bench.Results.HotItem;
import kappa.bench.Results.Lifetime;
import kappa.bench.Results.LocalItem;
import kappa.bench.Results.NewSeller;
import kappa.bench.Results.TopBid;
import kappa.bench.Results.Total;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.WindowStore;

/** Nexmark's queries with joins and windows; they read JSON. */
final class Site {

    private static final Duration WINDOW = Duration.ofSeconds(10);
    private static final Duration SLIDE = Duration.ofSeconds(2);
    /** Repartitioned records of several partitions come mixed; none of them may count as late. */
    private static final Duration GRACE = Duration.ofHours(1);
    private static final Set<String> STATES = Set.of("OR", "ID", "CA");
    private static final long CATEGORY = 10;
    private static final Serde<Long> LONG = Serdes.Long();
    private static final Serde<Bid> BID = Serdes.serdeFrom(JsonBid.SERIALIZER, JsonBid.DESERIALIZER);

    private final StreamsBuilder builder;
    private final List<String> inputs;
    private final String output;

    private Site(StreamsBuilder builder, List<String> inputs, String output) {
        this.builder = builder;
        this.inputs = inputs;
        this.output = output;
    }

    /** Adds a query; the inputs are the topics of persons, auctions and bids, those of them that it reads, in this order. */
    static void build(String query, StreamsBuilder builder, List<String> inputs, String output) {
        Site site = new Site(builder, inputs, output);
        switch (query) {
            case "q3" -> site.localItems();
            case "q4" -> site.averageClosingPrice();
            case "q5" -> site.hotItems();
            case "q7" -> site.highestBid();
            case "q8" -> site.newSellers();
            default -> throw new IllegalArgumentException("no query " + query);
        }
    }

    private <V> KStream<Long, V> stream(int input, Serde<V> serde) {
        return builder.stream(inputs.get(input), Consumed.with(LONG, serde));
    }

    private void localItems() {
        KTable<Long, Person> sellers = stream(0, JsonEvents.PERSON)
                .filter((id, person) -> STATES.contains(person.state()))
                .toTable(Materialized.with(LONG, JsonEvents.PERSON));
        KTable<Long, Auction> items = stream(1, JsonEvents.AUCTION)
                .filter((id, auction) -> auction.category() == CATEGORY)
                .toTable(Materialized.with(LONG, JsonEvents.AUCTION));
        items.join(sellers, Auction::seller,
                        (auction, person) -> new LocalItem(person.name(), person.city(), person.state(), auction.id()),
                        Materialized.with(LONG, LocalItem.SERDE))
                .toStream()
                .to(output, Produced.with(LONG, LocalItem.SERDE));
    }

    private void averageClosingPrice() {
        KTable<Long, Lifetime> lifetimes = stream(0, JsonEvents.AUCTION)
                .mapValues(a -> new Lifetime(a.category(), a.dateTime(), a.expires()))
                .toTable(Materialized.with(LONG, Lifetime.SERDE));
        stream(1, BID).join(lifetimes, Site::closing, Joined.with(LONG, BID, Lifetime.SERDE))
                .filter((auction, closing) -> closing != null)
                .groupByKey(Grouped.with(LONG, Closing.SERDE))
                .reduce(Closing::max, Materialized.with(LONG, Closing.SERDE))
                .groupBy((auction, closing) -> KeyValue.pair(closing.category(), closing.price()),
                        Grouped.with("by-category", LONG, LONG))
                .aggregate(() -> new Total(0, 0), (category, price, total) -> total.plus(price),
                        (category, price, total) -> total.minus(price), Materialized.with(LONG, Total.SERDE))
                .toStream()
                .filter((category, total) -> total.count() > 0)
                .mapValues((category, total) -> new CategoryAverage(category, total.sum() / total.count()))
                .to(output, Produced.with(LONG, CategoryAverage.SERDE));
    }

    /** A bid of the auction's own millisecond does not count: which of the two is read first is left open. */
    private static Closing closing(Bid bid, Lifetime auction) {
        boolean open = bid.dateTime() > auction.dateTime() && bid.dateTime() <= auction.expires();
        return open ? new Closing(auction.category(), bid.price()) : null;
    }

    private void hotItems() {
        stream(0, BID).groupByKey(Grouped.with(LONG, BID))
                .windowedBy(TimeWindows.ofSizeWithNoGrace(WINDOW).advanceBy(SLIDE))
                .count(Materialized.<Long, Long, WindowStore<Bytes, byte[]>>as("counts")
                        .withKeySerde(LONG).withValueSerde(LONG))
                .toStream()
                .map((key, count) -> KeyValue.pair(key.window().start(), new HotItem(key.key(), count)))
                .groupByKey(Grouped.with("by-window", LONG, HotItem.SERDE))
                .reduce(HotItem::max, Materialized.with(LONG, HotItem.SERDE))
                .toStream()
                .to(output, Produced.with(LONG, HotItem.SERDE));
    }

    /** First the highest bid of each auction and window, so that little is left to repartition by window. */
    private void highestBid() {
        stream(0, BID).mapValues(TopBid::of)
                .groupByKey(Grouped.with(LONG, TopBid.SERDE))
                .windowedBy(TimeWindows.ofSizeWithNoGrace(WINDOW))
                .reduce(TopBid::max, Materialized.with(LONG, TopBid.SERDE))
                .toStream()
                .map((key, top) -> KeyValue.pair(key.window().start(), top))
                .groupByKey(Grouped.with("by-window", LONG, TopBid.SERDE))
                .reduce(TopBid::max, Materialized.with(LONG, TopBid.SERDE))
                .toStream()
                .to(output, Produced.with(LONG, TopBid.SERDE));
    }

    private void newSellers() {
        KStream<Long, NewSeller> registered = stream(0, JsonEvents.PERSON)
                .mapValues(p -> new NewSeller(p.id(), p.name(), windowStart(p.dateTime())));
        KStream<Long, Long> opened = stream(1, JsonEvents.AUCTION)
                .map((id, auction) -> KeyValue.pair(auction.seller(), windowStart(auction.dateTime())));
        registered.join(opened, (seller, window) -> seller.starttime() == window ? seller : null,
                        JoinWindows.ofTimeDifferenceAndGrace(WINDOW, GRACE),
                        StreamJoined.with(LONG, NewSeller.SERDE, LONG))
                .filter((id, seller) -> seller != null)
                .to(output, Produced.with(LONG, NewSeller.SERDE));
    }

    private static long windowStart(long time) {
        return time - time % WINDOW.toMillis();
    }
}
