package kappa.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serializer;

/** Compact JSON, by Jackson's streaming interface: its fastest. */
final class JsonBid {

    private static final JsonFactory JSON = new JsonFactory();
    /** Room for any bid. */
    private static final int INITIAL_BYTES = 512;

    private JsonBid() {
    }

    static final Serializer<Bid> SERIALIZER = (topic, bid) -> bid == null ? null : write(bid);
    static final Deserializer<Bid> DESERIALIZER = (topic, bytes) -> bytes == null ? null : read(bytes);

    private static byte[] write(Bid bid) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(INITIAL_BYTES);
        try (JsonGenerator out = JSON.createGenerator(bytes)) {
            out.writeStartObject();
            out.writeNumberField("auction", bid.auction());
            out.writeNumberField("bidder", bid.bidder());
            out.writeNumberField("price", bid.price());
            out.writeStringField("channel", bid.channel());
            out.writeStringField("url", bid.url());
            out.writeNumberField("date_time", bid.dateTime());
            out.writeStringField("extra", bid.extra());
            out.writeEndObject();
        } catch (IOException e) {
            throw new SerializationException("a bid could not be written", e);
        }
        return bytes.toByteArray();
    }

    private static Bid read(byte[] bytes) {
        try (JsonParser in = JSON.createParser(bytes)) {
            if (in.nextToken() != JsonToken.START_OBJECT) {
                throw new SerializationException("a bid must be a JSON object");
            }
            return fields(in);
        } catch (IOException e) {
            throw new SerializationException("not a bid", e);
        }
    }

    private static Bid fields(JsonParser in) throws IOException {
        long auction = 0;
        long bidder = 0;
        long price = 0;
        long dateTime = 0;
        String channel = "";
        String url = "";
        String extra = "";
        for (String name = in.nextFieldName(); name != null; name = in.nextFieldName()) {
            in.nextToken();
            switch (name) {
                case "auction" -> auction = in.getLongValue();
                case "bidder" -> bidder = in.getLongValue();
                case "price" -> price = in.getLongValue();
                case "channel" -> channel = in.getText();
                case "url" -> url = in.getText();
                case "date_time" -> dateTime = in.getLongValue();
                case "extra" -> extra = in.getText();
                default -> in.skipChildren();
            }
        }
        return new Bid(auction, bidder, price, channel, url, dateTime, extra);
    }
}
