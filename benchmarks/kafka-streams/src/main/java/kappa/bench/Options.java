package kappa.bench;

import java.util.HashMap;
import java.util.Map;

/** The command line: {@code --name value} and {@code --flag}. */
record Options(Map<String, String> values) {

    static Options parse(String[] words) {
        Map<String, String> values = new HashMap<>();
        int at = 0;
        while (at < words.length) {
            String word = words[at++];
            if (!word.startsWith("--")) {
                throw new IllegalArgumentException("expected an option, found " + word);
            }
            boolean flag = at == words.length || words[at].startsWith("--");
            values.put(word.substring(2), flag ? "true" : words[at++]);
        }
        return new Options(values);
    }

    String text(String name) {
        String value = values.get(name);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is missing");
        }
        return value;
    }

    long number(String name, long otherwise) {
        String value = values.get(name);
        return value == null ? otherwise : Long.parseLong(value);
    }

    boolean has(String name) {
        return values.containsKey(name);
    }
}
