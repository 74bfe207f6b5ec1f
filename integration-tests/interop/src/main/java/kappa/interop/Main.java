package kappa.interop;

import java.util.Arrays;

/** The Java side of integration-tests/tests/interop: one command a run, JSON lines on standard input and output. */
public final class Main {
    private static final String USAGE = """
        produce BROKERS                           sends the records of standard input, prints where each went
        consume BROKERS ISOLATION FORM TOPIC...   prints topics up to their ends; FORM is bytes, session, time:SIZE_MS,
                                                  or store-time:SIZE_MS (a changelog)
        keys                                      windowed keys of standard input, written and read by Kafka's serdes
        configs BROKERS TOPIC...                  each topic's configuration
        offsets BROKERS TOPIC                     where each partition begins and ends
        streams BROKERS ID INPUTS OUTPUTS         runs the Kafka Streams application (its topics' prefixes are given) until it has
                                                  processed all there is""";

    private Main() {}

    /** Runs the command that the first argument names. */
    public static void main(String[] args) throws Exception {
        var command = args.length == 0 ? "" : args[0];
        var rest = Arrays.copyOfRange(args, Math.min(1, args.length), args.length);
        switch (command) {
            case "produce" -> Produce.run(rest[0]);
            case "consume" -> Consume.run(rest[0], rest[1], rest[2], Arrays.asList(rest).subList(3, rest.length));
            case "keys" -> Keys.run();
            case "configs" -> Topics.configs(rest[0], Arrays.asList(rest).subList(1, rest.length));
            case "offsets" -> Topics.offsets(rest[0], rest[1]);
            case "streams" -> Streams.run(rest[0], rest[1], rest[2], rest[3]);
            default -> {
                System.err.println(USAGE);
                System.exit(2);
            }
        }
        Lines.flush();
    }
}
