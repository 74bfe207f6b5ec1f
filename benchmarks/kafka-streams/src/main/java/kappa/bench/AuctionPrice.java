package kappa.bench;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** What {@code q2} puts out. */
record AuctionPrice(long auction, long price) {

    private static final Serializer<AuctionPrice> SERIALIZER = (topic, selected) -> selected == null ? null
            : ("{\"auction\":" + selected.auction + ",\"price\":" + selected.price + "}")
                    .getBytes(StandardCharsets.UTF_8);
    private static final Deserializer<AuctionPrice> DESERIALIZER = (topic, bytes) -> {
        throw new UnsupportedOperationException("no query reads these");
    };
    static final Serde<AuctionPrice> SERDE = Serdes.serdeFrom(SERIALIZER, DESERIALIZER);
}
