package kappa.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** JSON lines in and out; bytes are in hexadecimal, or null. */
final class Lines {
    static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private Lines() {}

    static List<JsonNode> in() throws IOException {
        var nodes = new ArrayList<JsonNode>();
        var reader = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (var line = reader.readLine(); line != null; line = reader.readLine()) {
            nodes.add(JSON.readTree(line));
        }
        return nodes;
    }

    static void out(JsonNode node) throws IOException {
        OUT.println(JSON.writeValueAsString(node));
    }

    static void flush() {
        OUT.flush();
    }

    static String hex(byte[] bytes) {
        return bytes == null ? null : HexFormat.of().formatHex(bytes);
    }

    static byte[] bytes(JsonNode node) {
        return node == null || node.isNull() ? null : HexFormat.of().parseHex(node.asText());
    }

    /** {@code [["name", "value"], …]}. */
    static JsonNode headers(Headers headers) {
        var list = JSON.createArrayNode();
        for (Header header : headers) {
            list.addArray().add(header.key()).add(hex(header.value()));
        }
        return list;
    }

    static Headers headers(JsonNode list) {
        var headers = new RecordHeaders();
        for (JsonNode header : list) {
            headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
        }
        return headers;
    }
}
