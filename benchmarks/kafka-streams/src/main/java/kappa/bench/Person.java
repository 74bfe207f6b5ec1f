package kappa.bench;

/** A person registering with the auction site; the fields in their order on the wire. */
record Person(long id, String name, String emailAddress, String creditCard, String city, String state, long dateTime,
              String extra) {
}
