package kappa.bench;

import com.fasterxml.jackson.core.JsonParser;
import java.io.IOException;
import org.apache.kafka.common.serialization.Serde;

/** What queries keep in stores or put out, as compact JSON in the order of the fields. */
final class Results {

    private Results() {
    }

    /** q3: an auction's id with where its seller lives. */
    record LocalItem(String name, String city, String state, long id) {

        static final Serde<LocalItem> SERDE = JsonEvents.serde((out, item) -> {
            out.writeStringField("name", item.name);
            out.writeStringField("city", item.city);
            out.writeStringField("state", item.state);
            out.writeNumberField("id", item.id);
        }, in -> new LocalItem(text(in), text(in), text(in), number(in)));
    }

    /** q4: what of an auction decides which bids count. */
    record Lifetime(long category, long dateTime, long expires) {

        static final Serde<Lifetime> SERDE = JsonEvents.serde((out, lifetime) -> {
            out.writeNumberField("category", lifetime.category);
            out.writeNumberField("date_time", lifetime.dateTime);
            out.writeNumberField("expires", lifetime.expires);
        }, in -> new Lifetime(number(in), number(in), number(in)));
    }

    /** q4: the best bid so far of one auction. */
    record Closing(long category, long price) {

        static final Serde<Closing> SERDE = JsonEvents.serde((out, closing) -> {
            out.writeNumberField("category", closing.category);
            out.writeNumberField("price", closing.price);
        }, in -> new Closing(number(in), number(in)));

        Closing max(Closing other) {
            return other.price > price ? other : this;
        }
    }

    /** q4: the prices of a category together. */
    record Total(long sum, long count) {

        static final Serde<Total> SERDE = JsonEvents.serde((out, total) -> {
            out.writeNumberField("sum", total.sum);
            out.writeNumberField("count", total.count);
        }, in -> new Total(number(in), number(in)));

        Total plus(long price) {
            return new Total(sum + price, count + 1);
        }

        Total minus(long price) {
            return new Total(sum - price, count - 1);
        }
    }

    /** q4: rounded down. */
    record CategoryAverage(long category, long average) {

        static final Serde<CategoryAverage> SERDE = JsonEvents.serde((out, found) -> {
            out.writeNumberField("category", found.category);
            out.writeNumberField("average", found.average);
        }, in -> new CategoryAverage(number(in), number(in)));
    }

    /** q5. */
    record HotItem(long auction, long count) {

        static final Serde<HotItem> SERDE = JsonEvents.serde((out, item) -> {
            out.writeNumberField("auction", item.auction);
            out.writeNumberField("count", item.count);
        }, in -> new HotItem(number(in), number(in)));

        /** The higher count; among equals the lower auction. */
        HotItem max(HotItem other) {
            if (other.count != count) {
                return other.count > count ? other : this;
            }
            return other.auction < auction ? other : this;
        }
    }

    /** q7. */
    record TopBid(long auction, long bidder, long price, long dateTime) {

        static final Serde<TopBid> SERDE = JsonEvents.serde((out, bid) -> {
            out.writeNumberField("auction", bid.auction);
            out.writeNumberField("bidder", bid.bidder);
            out.writeNumberField("price", bid.price);
            out.writeNumberField("date_time", bid.dateTime);
        }, in -> new TopBid(number(in), number(in), number(in), number(in)));

        static TopBid of(Bid bid) {
            return new TopBid(bid.auction(), bid.bidder(), bid.price(), bid.dateTime());
        }

        /** The higher price; among equals the earlier, then the lower auction, then the lower bidder. */
        TopBid max(TopBid other) {
            int order = Long.compare(other.price, price);
            if (order == 0) {
                order = Long.compare(dateTime, other.dateTime);
            }
            if (order == 0) {
                order = Long.compare(auction, other.auction);
            }
            if (order == 0) {
                order = Long.compare(bidder, other.bidder);
            }
            return order > 0 ? other : this;
        }
    }

    /** q8: a person who opened an auction in the window of registering. */
    record NewSeller(long id, String name, long starttime) {

        static final Serde<NewSeller> SERDE = JsonEvents.serde((out, seller) -> {
            out.writeNumberField("id", seller.id);
            out.writeStringField("name", seller.name);
            out.writeNumberField("starttime", seller.starttime);
        }, in -> new NewSeller(number(in), text(in), number(in)));
    }

    /** The next field, which these programs wrote themselves in this order. */
    private static long number(JsonParser in) throws IOException {
        in.nextToken();
        in.nextToken();
        return in.getLongValue();
    }

    private static String text(JsonParser in) throws IOException {
        in.nextToken();
        in.nextToken();
        return in.getText();
    }
}
