package kappa.bench;

/** An item put up for auction; the fields in their order on the wire. */
record Auction(long id, String itemName, String description, long initialBid, long reserve, long dateTime,
               long expires, long seller, long category, String extra) {
}
