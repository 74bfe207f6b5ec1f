package kappa.interop;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.kstream.SessionWindowedDeserializer;
import org.apache.kafka.streams.kstream.SessionWindowedSerializer;
import org.apache.kafka.streams.kstream.TimeWindowedDeserializer;
import org.apache.kafka.streams.kstream.TimeWindowedSerializer;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.kstream.internals.TimeWindow;

/** Windowed keys by Kafka Streams' own serializers and deserializers. */
final class Keys {
    private Keys() {}

    static Deserializer<Windowed<String>> deserializer(String form) {
        var parts = form.split(":");
        return switch (parts[0]) {
            case "session" -> new SessionWindowedDeserializer<>(new StringDeserializer());
            case "time" -> new TimeWindowedDeserializer<>(new StringDeserializer(), Long.parseLong(parts[1]));
            case "store-time" -> {
                var deserializer = new TimeWindowedDeserializer<>(new StringDeserializer(), Long.parseLong(parts[1]));
                deserializer.setIsChangelogTopic(true);
                yield deserializer;
            }
            default -> throw new IllegalArgumentException(form);
        };
    }

    static void put(ObjectNode line, Windowed<String> windowed) {
        line.put("key", windowed.key()).put("start", windowed.window().start()).put("end", windowed.window().end());
    }

    /**
     * For each line {@code {"form", "key", "start", "end", "bytes"}}: the key as Kafka's serializer writes it, and what Kafka's
     * deserializer makes of those bytes.
     */
    static void run() throws IOException {
        for (var line : Lines.in()) {
            var form = line.get("form").asText();
            var key = line.get("key").asText();
            var start = line.get("start").asLong();
            var end = line.get("end").asLong();
            var bytes = form.equals("session")
                ? new SessionWindowedSerializer<>(new StringSerializer()).serialize("topic", new Windowed<>(key, new SessionWindow(start, end)))
                : new TimeWindowedSerializer<>(new StringSerializer()).serialize("topic", new Windowed<>(key, new TimeWindow(start, end)));
            var answer = Lines.JSON.createObjectNode().put("bytes", Lines.hex(bytes));
            put(answer, deserializer(form).deserialize("topic", Lines.bytes(line.get("bytes"))));
            Lines.out(answer);
        }
    }
}
