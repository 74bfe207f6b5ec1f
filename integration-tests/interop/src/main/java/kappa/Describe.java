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
 * kappa-core/tests/dsl/describe/kafka-streams-4.3.txt holds.
 */
public final class Describe {
    private static final ProcessorSupplier<String, String, String, String> NOTHING = () -> new ContextualProcessor<>() {
        @Override
        public void process(Record<String, String> record) {}
    };

    private static StoreBuilder<KeyValueStore<String, String>> store(String name) {
        return Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), Serdes.String(), Serdes.String());
    }

    public static void main(String[] args) {
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
        ProcessorSupplier<String, String, Void, Void> update = () -> new ContextualProcessor<>() {
            @Override
            public void process(Record<String, String> record) {}
        };
        shop.addGlobalStore(store("rates").withLoggingDisabled(), "rates.source", new StringDeserializer(), new StringDeserializer(),
            "rates", "rates.global", update);
        System.out.print(shop.describe());
    }
}
