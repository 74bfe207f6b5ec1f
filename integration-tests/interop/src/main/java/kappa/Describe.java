package kappa;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Prints Kafka Streams' description of the shop of kappa-core/tests/dsl/tools.rs, operator by operator, with our names: what
 * kappa-core/tests/dsl/describe/kafka-streams-4.3.txt holds; with the argument "stores" that of its shop of global and read-only
 * stores, kafka-streams-4.3-stores.txt.
 */
public final class Describe {
    private static final ProcessorSupplier<String, String, String, String> NOTHING = () -> new ContextualProcessor<>() {
        @Override
        public void process(Record<String, String> record) {}
    };

    private static StoreBuilder<KeyValueStore<String, String>> store(String name) {
        return Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), Serdes.String(), Serdes.String());
    }

    private static final ProcessorSupplier<String, String, Void, Void> UPDATE = () -> new ContextualProcessor<>() {
        @Override
        public void process(Record<String, String> record) {}
    };

    public static void main(String[] args) {
        System.out.print((args.length > 0 ? stores() : shop()).describe());
    }

    private static Topology stores() {
        var shop = new Topology();
        shop.addReadOnlyStateStore(store("limits").withLoggingDisabled(), "account-limits.source", new StringDeserializer(),
            new StringDeserializer(), "account-limits", "limits.update", UPDATE);
        shop.addSource("payments.source", "payments");
        shop.addProcessor("check.process", NOTHING, "payments.source");
        shop.connectProcessorAndStateStores("check.process", "limits");
        shop.addSink("checked.sink", "checked", "check.process");
        shop.addGlobalStore(store("by-country").withLoggingDisabled(), "airports.source", new StringDeserializer(),
            new StringDeserializer(), "airports", "by-country.global", UPDATE);
        return shop;
    }

    private static Topology shop() {
        var shop = new Topology();
        shop.addSource("customers.source", "customers");
        shop.addProcessor("customers.table", NOTHING, "customers.source");
        shop.addSource("customers-join.source", "customers-join-repartition");
        shop.addProcessor("customers-join.join", NOTHING, "customers-join.source");
        shop.addStateStore(store("customers"), "customers.table", "customers-join.join");
        shop.addSink("named.view", "named-view", "customers-join.join");
        shop.addSource("orders.source", "orders");
        shop.addProcessor("orders.filter", NOTHING, "orders.source");
        shop.addProcessor("orders.select_key", NOTHING, "orders.filter");
        shop.addSink("customers-join.repartition", "customers-join-repartition", "orders.select_key");
        shop.addProcessor("orders.left_join_global", NOTHING, "orders.filter");
        shop.addProcessor("totals.aggregate", NOTHING, "orders.left_join_global");
        shop.addStateStore(store("totals"), "totals.aggregate");
        shop.addSink("out.sink", "out", "totals.aggregate");
        shop.addGlobalStore(store("rates").withLoggingDisabled(), "rates.source", new StringDeserializer(), new StringDeserializer(),
            "rates", "rates.global", UPDATE);
        return shop;
    }
}
