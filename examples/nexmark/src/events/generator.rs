//! Which event comes when, and what is in it.
//!
//! Of each 50 events in order one is a person, three are auctions and 46 are bids; event time advances by
//! 1 ms each 10 events. Most sellers and bidders, and half of the auctions bid on, come from a few hot ids,
//! which move on as ids grow.

use super::draw::Draw;
use super::{Auction, Bid, Person};

const BASE_TIME_MS: i64 = 1_436_918_400_000;
const EVENTS_PER_MS: u64 = 10;
/// Persons, auctions and bids come in this rhythm.
const EPOCH_EVENTS: u64 = 50;
const EPOCH_PERSONS: u64 = 1;
const EPOCH_AUCTIONS: u64 = 3;

const FIRST_ID: u64 = 1000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;

/// Every hundredth id is hot, until the next one is.
const HOT_ID_EVERY: u64 = 100;
/// One in so many is not hot.
const COLD_SELLER_IN: u64 = 4;
const COLD_BIDDER_IN: u64 = 4;
const COLD_AUCTION_IN: u64 = 2;
const COLD_CHANNEL_IN: u64 = 2;
const ACTIVE_PERSONS: u64 = 1000;
const AUCTIONS_IN_FLIGHT: u64 = 100;
/// Ids may be named this long before they appear.
const ID_LEAD: u64 = 10;

const PERSON_BYTES: usize = 200;
const AUCTION_BYTES: usize = 500;
const BID_BYTES: usize = 100;

const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const CITIES: [&str; 10] =
    ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A person registers.
    Person,
    /// An item is put up.
    Auction,
    /// Somebody bids.
    Bid,
}

impl Kind {
    /// The kind of event `i`.
    pub fn of(i: u64) -> Self {
        match i % EPOCH_EVENTS {
            at if at < EPOCH_PERSONS => Self::Person,
            at if at < EPOCH_PERSONS + EPOCH_AUCTIONS => Self::Auction,
            _ => Self::Bid,
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A person registers.
    Person(Person),
    /// An item is put up.
    Auction(Auction),
    /// Somebody bids.
    Bid(Bid),
}

impl Event {
    /// The key of the event's record: its id; a bid's is that of its auction.
    pub fn key(&self) -> i64 {
        match self {
            Self::Person(person) => person.id,
            Self::Auction(auction) => auction.id,
            Self::Bid(bid) => bid.auction,
        }
    }

    /// Event time, ms since 1970: the timestamp of the event's record.
    pub fn time_ms(&self) -> i64 {
        match self {
            Self::Person(person) => person.date_time,
            Self::Auction(auction) => auction.date_time,
            Self::Bid(bid) => bid.date_time,
        }
    }
}

/// Makes events; each is a function of the seed and its number.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    seed: u64,
}

impl Generator {
    /// A generator for one seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Event `i`.
    pub fn event(&self, i: u64) -> Event {
        match Kind::of(i) {
            Kind::Person => Event::Person(self.person(i)),
            Kind::Auction => Event::Auction(self.auction(i)),
            Kind::Bid => Event::Bid(self.bid(i)),
        }
    }

    /// All bids among the first `events` events, in order.
    pub fn bids(self, events: u64) -> impl Iterator<Item = Bid> {
        (0..events).filter(|&i| Kind::of(i) == Kind::Bid).map(move |i| self.bid(i))
    }

    fn person(&self, i: u64) -> Person {
        let mut draw = Draw::new(self.seed, i);
        let name = [draw.one_of(&FIRST_NAMES), draw.one_of(&LAST_NAMES)].join(" ");
        let email_address = format!("{}@{}.com", draw.text(7), draw.text(5));
        let credit_card = [draw.digits(4), draw.digits(4), draw.digits(4), draw.digits(4)].join(" ");
        let city = draw.one_of(&CITIES).to_owned();
        let state = draw.one_of(&STATES).to_owned();
        let size = 16 + name.len() + email_address.len() + credit_card.len() + city.len() + state.len();
        let extra = draw.filler(size, PERSON_BYTES);
        let id = (FIRST_ID + newest_person(i)) as i64;
        Person { id, name, email_address, credit_card, city, state, date_time: time_ms(i), extra }
    }

    fn auction(&self, i: u64) -> Auction {
        let mut draw = Draw::new(self.seed, i);
        let item_length = 10 + draw.below(20);
        let item_name = draw.text(item_length);
        let description_length = 50 + draw.below(100);
        let description = draw.text(description_length);
        let initial_bid = draw.price();
        let reserve = initial_bid + draw.price();
        let horizon_ms = AUCTIONS_IN_FLIGHT * EPOCH_EVENTS / EPOCH_AUCTIONS / EVENTS_PER_MS;
        let expires = time_ms(i) + 1 + draw.below(2 * horizon_ms) as i64;
        let seller = if draw.below(COLD_SELLER_IN) > 0 { hot(newest_person(i)) } else { any_person(i, &mut draw) };
        let category = (FIRST_CATEGORY + draw.below(CATEGORIES)) as i64;
        let extra = draw.filler(56 + item_name.len() + description.len(), AUCTION_BYTES);
        Auction {
            id: (FIRST_ID + newest_auction(i)) as i64,
            item_name,
            description,
            initial_bid,
            reserve,
            date_time: time_ms(i),
            expires,
            seller: (FIRST_ID + seller) as i64,
            category,
            extra,
        }
    }

    fn bid(&self, i: u64) -> Bid {
        let mut draw = Draw::new(self.seed, i);
        let auction = if draw.below(COLD_AUCTION_IN) > 0 { hot(newest_auction(i)) } else { any_auction(i, &mut draw) };
        let bidder = if draw.below(COLD_BIDDER_IN) > 0 { hot(newest_person(i)) + 1 } else { any_person(i, &mut draw) };
        let price = draw.price();
        let (channel, url) = channel(&mut draw);
        let extra = draw.filler(32 + channel.len() + url.len(), BID_BYTES);
        let (auction, bidder) = ((FIRST_ID + auction) as i64, (FIRST_ID + bidder) as i64);
        Bid { auction, bidder, price, channel, url, date_time: time_ms(i), extra }
    }
}

fn channel(draw: &mut Draw) -> (String, String) {
    if draw.below(COLD_CHANNEL_IN) > 0 {
        let channel = draw.one_of(&HOT_CHANNELS);
        (channel.to_owned(), format!("https://www.nexmark.com/{channel}/item.htm?query=1"))
    } else {
        let number = draw.below(10_000);
        let url = format!("https://www.nexmark.com/{}/item.htm?query=1&channel_id={number}", draw.text(5));
        (format!("channel-{number}"), url)
    }
}

fn time_ms(i: u64) -> i64 {
    BASE_TIME_MS + (i / EVENTS_PER_MS) as i64
}

/// The newest person at event `i`, counted from 0.
fn newest_person(i: u64) -> u64 {
    i / EPOCH_EVENTS
}

/// The newest auction at event `i`, counted from 0 (in the first epoch, its first one even before it appears).
fn newest_auction(i: u64) -> u64 {
    let at = (i % EPOCH_EVENTS).min(EPOCH_PERSONS + EPOCH_AUCTIONS - 1);
    (i / EPOCH_EVENTS * EPOCH_AUCTIONS + at).saturating_sub(EPOCH_PERSONS)
}

fn hot(newest: u64) -> u64 {
    newest / HOT_ID_EVERY * HOT_ID_EVERY
}

fn any_person(i: u64, draw: &mut Draw) -> u64 {
    let persons = newest_person(i) + 1;
    let active = persons.min(ACTIVE_PERSONS);
    persons - active + draw.below(active + ID_LEAD)
}

fn any_auction(i: u64, draw: &mut Draw) -> u64 {
    let newest = newest_auction(i);
    let first = newest.saturating_sub(AUCTIONS_IN_FLIGHT);
    first + draw.below(newest - first + 1 + ID_LEAD)
}
