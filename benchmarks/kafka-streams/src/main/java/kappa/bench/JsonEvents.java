package kappa.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** Compact JSON of persons, auctions and what queries keep, by Jackson's streaming interface: its fastest. */
final class JsonEvents {

    private static final JsonFactory JSON = new JsonFactory();
    /** Room for most of them. */
    private static final int INITIAL_BYTES = 512;

    private JsonEvents() {
    }

    /** Writes the fields of a value. */
    interface Fields<T> {
        void write(JsonGenerator out, T value) throws IOException;
    }

    /** Makes a value of what lies between the braces. */
    interface Maker<T> {
        T read(JsonParser in) throws IOException;
    }

    /** A serde of objects. */
    static <T> Serde<T> serde(Fields<T> fields, Maker<T> maker) {
        return Serdes.serdeFrom((topic, value) -> value == null ? null : write(fields, value),
                (topic, bytes) -> bytes == null ? null : read(maker, bytes));
    }

    private static <T> byte[] write(Fields<T> fields, T value) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(INITIAL_BYTES);
        try (JsonGenerator out = JSON.createGenerator(bytes)) {
            out.writeStartObject();
            fields.write(out, value);
            out.writeEndObject();
        } catch (IOException e) {
            throw new SerializationException("a value could not be written", e);
        }
        return bytes.toByteArray();
    }

    private static <T> T read(Maker<T> maker, byte[] bytes) {
        try (JsonParser in = JSON.createParser(bytes)) {
            if (in.nextToken() != JsonToken.START_OBJECT) {
                throw new SerializationException("a value must be a JSON object");
            }
            return maker.read(in);
        } catch (IOException e) {
            throw new SerializationException("not a value of this kind", e);
        }
    }

    static final Serde<Person> PERSON = serde((out, p) -> {
        out.writeNumberField("id", p.id());
        out.writeStringField("name", p.name());
        out.writeStringField("email_address", p.emailAddress());
        out.writeStringField("credit_card", p.creditCard());
        out.writeStringField("city", p.city());
        out.writeStringField("state", p.state());
        out.writeNumberField("date_time", p.dateTime());
        out.writeStringField("extra", p.extra());
    }, JsonEvents::person);

    static final Serde<Auction> AUCTION = serde((out, a) -> {
        out.writeNumberField("id", a.id());
        out.writeStringField("item_name", a.itemName());
        out.writeStringField("description", a.description());
        out.writeNumberField("initial_bid", a.initialBid());
        out.writeNumberField("reserve", a.reserve());
        out.writeNumberField("date_time", a.dateTime());
        out.writeNumberField("expires", a.expires());
        out.writeNumberField("seller", a.seller());
        out.writeNumberField("category", a.category());
        out.writeStringField("extra", a.extra());
    }, JsonEvents::auction);

    private static Person person(JsonParser in) throws IOException {
        long id = 0;
        String name = "";
        String email = "";
        String card = "";
        String city = "";
        String state = "";
        long dateTime = 0;
        String extra = "";
        for (String field = in.nextFieldName(); field != null; field = in.nextFieldName()) {
            in.nextToken();
            switch (field) {
                case "id" -> id = in.getLongValue();
                case "name" -> name = in.getText();
                case "email_address" -> email = in.getText();
                case "credit_card" -> card = in.getText();
                case "city" -> city = in.getText();
                case "state" -> state = in.getText();
                case "date_time" -> dateTime = in.getLongValue();
                case "extra" -> extra = in.getText();
                default -> in.skipChildren();
            }
        }
        return new Person(id, name, email, card, city, state, dateTime, extra);
    }

    private static Auction auction(JsonParser in) throws IOException {
        long id = 0;
        String item = "";
        String description = "";
        long initialBid = 0;
        long reserve = 0;
        long dateTime = 0;
        long expires = 0;
        long seller = 0;
        long category = 0;
        String extra = "";
        for (String field = in.nextFieldName(); field != null; field = in.nextFieldName()) {
            in.nextToken();
            switch (field) {
                case "id" -> id = in.getLongValue();
                case "item_name" -> item = in.getText();
                case "description" -> description = in.getText();
                case "initial_bid" -> initialBid = in.getLongValue();
                case "reserve" -> reserve = in.getLongValue();
                case "date_time" -> dateTime = in.getLongValue();
                case "expires" -> expires = in.getLongValue();
                case "seller" -> seller = in.getLongValue();
                case "category" -> category = in.getLongValue();
                case "extra" -> extra = in.getText();
                default -> in.skipChildren();
            }
        }
        return new Auction(id, item, description, initialBid, reserve, dateTime, expires, seller, category, extra);
    }
}
