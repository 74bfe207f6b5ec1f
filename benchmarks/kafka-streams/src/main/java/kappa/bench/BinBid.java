package kappa.bench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serializer;

/** The plain encoding: numbers as i64 big-endian, strings as u16 big-endian length and UTF-8 bytes. */
final class BinBid {

    private static final int NUMBERS = 4;
    private static final int STRINGS = 3;

    private BinBid() {
    }

    static final Serializer<Bid> SERIALIZER = (topic, bid) -> bid == null ? null : write(bid);
    static final Deserializer<Bid> DESERIALIZER = (topic, bytes) -> bytes == null ? null : read(bytes);

    private static byte[] write(Bid bid) {
        byte[] channel = bid.channel().getBytes(StandardCharsets.UTF_8);
        byte[] url = bid.url().getBytes(StandardCharsets.UTF_8);
        byte[] extra = bid.extra().getBytes(StandardCharsets.UTF_8);
        byte[] bytes = new byte[NUMBERS * Long.BYTES + STRINGS * Short.BYTES
                + channel.length + url.length + extra.length];
        ByteBuffer out = ByteBuffer.wrap(bytes);
        out.putLong(bid.auction()).putLong(bid.bidder()).putLong(bid.price());
        out.putShort((short) channel.length).put(channel);
        out.putShort((short) url.length).put(url);
        out.putLong(bid.dateTime());
        out.putShort((short) extra.length).put(extra);
        return bytes;
    }

    private static Bid read(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        long auction = in.getLong();
        long bidder = in.getLong();
        long price = in.getLong();
        String channel = string(in);
        String url = string(in);
        long dateTime = in.getLong();
        return new Bid(auction, bidder, price, channel, url, dateTime, string(in));
    }

    private static String string(ByteBuffer in) {
        int length = Short.toUnsignedInt(in.getShort());
        int start = in.position();
        in.position(start + length);
        return new String(in.array(), start, length, StandardCharsets.UTF_8);
    }
}
