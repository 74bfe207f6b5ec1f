package kappa.bench;

/** A bid for an item under auction; the fields in their order on the wire. */
record Bid(long auction, long bidder, long price, String channel, String url, long dateTime, String extra) {
}
