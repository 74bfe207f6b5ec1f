//! Nexmark's queries 3, 4, 5, 7 and 8 as topologies: what joins, windows, foreign keys and aggregates of tables look like together.
//!
//! Inputs are the topics `nexmark-person-json`, `nexmark-auction-json` and `nexmark-bid-json` with 8-byte big-endian keys (a bid's
//! is its auction's); results have such keys too and go to one topic as compact JSON.

mod results;
mod run;

pub use results::{CategoryAverage, Closing, HotItem, Lifetime, LocalItem, NewSeller, TopBid, Total};
pub use run::run;

use kappa_benchmarks::nexmark::{Auction, Bid, Format, Kind, Person};
use kappa_core::codec::{i64_be, json};
use kappa_core::dsl::{JoinWindows, KStream};
use kappa_core::topology::{Topology, TopologyBuilder, TopologyError};
use kappa_core::window::TimeWindows;

const WINDOW_MS: i64 = 10_000;
const SLIDE_MS: i64 = 2_000;
/// Repartitioned records of several partitions come mixed; none of them may count as late.
const GRACE_MS: i64 = 600_000;

/// The queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// Auctions of category 10 whose seller lives in OR, ID or CA.
    Q3,
    /// The average of what the auctions of a category bring.
    Q4,
    /// The auction with the most bids in each window of 10 s, each 2 s.
    Q5,
    /// The highest bid in each window of 10 s.
    Q7,
    /// Persons who opened an auction in the window of 10 s in which they registered.
    Q8,
}

impl Query {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Q3, Self::Q4, Self::Q5, Self::Q7, Self::Q8];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q3 => "q3",
            Self::Q4 => "q4",
            Self::Q5 => "q5",
            Self::Q7 => "q7",
            Self::Q8 => "q8",
        }
    }

    /// Its topology, from the usual topics to `output`.
    pub fn topology(self, output: &str) -> Result<Topology, TopologyError> {
        let mut app = Topology::builder();
        match self {
            Self::Q3 => local_items(&mut app, output),
            Self::Q4 => average_closing_price(&mut app, output),
            Self::Q5 => hot_items(&mut app, output),
            Self::Q7 => highest_bid(&mut app, output),
            Self::Q8 => new_sellers(&mut app, output),
        }
        app.build()
    }
}

fn persons(app: &mut TopologyBuilder) -> KStream<i64, Person> {
    app.stream(&Format::Json.topic(Kind::Person), i64_be(), json())
}

fn auctions(app: &mut TopologyBuilder) -> KStream<i64, Auction> {
    app.stream(&Format::Json.topic(Kind::Auction), i64_be(), json())
}

fn bids(app: &mut TopologyBuilder) -> KStream<i64, Bid> {
    app.stream(&Format::Json.topic(Kind::Bid), i64_be(), json())
}

fn local_items(app: &mut TopologyBuilder, output: &str) {
    let local = |state: &str| ["OR", "ID", "CA"].contains(&state);
    let sellers = persons(app).filter(move |_, person| local(&person.state)).to_table("sellers");
    let items = auctions(app).filter(|_, auction| auction.category == 10).to_table("items");
    let item = |auction: &Auction, seller: &Person| {
        let Person { name, city, state, .. } = seller.clone();
        LocalItem { name, city, state, id: auction.id }
    };
    items.join_foreign_key("local-items", json(), &sellers, |_, auction| Some(auction.seller), item).to(output);
}

fn average_closing_price(app: &mut TopologyBuilder, output: &str) {
    let lifetimes = auctions(app)
        .map_values(|_, a| Lifetime { category: a.category, date_time: a.date_time, expires: a.expires })
        .with_value_codec(json())
        .to_table("lifetimes");
    // A bid of the auction's own millisecond does not count: which of the two is read first is left open.
    let closing = |bid: &Bid, auction: &Lifetime| {
        let open = bid.date_time > auction.date_time && bid.date_time <= auction.expires;
        open.then_some(Closing { category: auction.category, price: bid.price })
    };
    bids(app)
        .join(&lifetimes, closing)
        .flat_map_values(|_, closing| closing.clone())
        .with_value_codec(json())
        .group_by_key()
        .reduce("closings", |highest: Closing, bid| if bid.price > highest.price { bid.clone() } else { highest })
        .group_by(i64_be(), i64_be(), |_, closing| Some((closing.category, closing.price)))
        .aggregate(
            "totals",
            json(),
            Total::default,
            |_, price, total| Total { sum: total.sum + price, count: total.count + 1 },
            |_, price, total| Total { sum: total.sum - price, count: total.count - 1 },
        )
        .to_stream()
        .filter(|_, total| total.count > 0)
        .map_values(|category, total| CategoryAverage { category: *category, average: total.sum / total.count })
        .with_value_codec(json())
        .to(output);
}

fn hot_items(app: &mut TopologyBuilder, output: &str) {
    bids(app)
        .group_by_key()
        .windowed_by(TimeWindows::hopping(WINDOW_MS, SLIDE_MS))
        .count("counts")
        .to_stream()
        .map(|auction, count| (auction.window.start_ms, HotItem { auction: auction.key, count: *count }))
        .with_codecs(i64_be(), json())
        .group_by_key()
        .reduce("hottest", HotItem::hotter)
        .to(output);
}

/// First the highest bid of each auction and window, so that little is left to repartition by window.
fn highest_bid(app: &mut TopologyBuilder, output: &str) {
    bids(app)
        .map_values(|_, bid| TopBid::of(bid))
        .with_value_codec(json())
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(WINDOW_MS))
        .reduce("highest-of-auctions", TopBid::higher)
        .to_stream()
        .map(|auction, top| (auction.window.start_ms, top.clone()))
        .with_codecs(i64_be(), json())
        .group_by_key()
        .reduce("highest", TopBid::higher)
        .to(output);
}

fn new_sellers(app: &mut TopologyBuilder, output: &str) {
    let window = |time_ms: i64| time_ms - time_ms % WINDOW_MS;
    let registered = persons(app)
        .map_values(move |_, p| NewSeller { id: p.id, name: p.name.clone(), starttime: window(p.date_time) })
        .with_value_codec(json());
    let opened = auctions(app)
        .map(move |_, auction| (auction.seller, window(auction.date_time)))
        .with_codecs(i64_be(), i64_be());
    registered
        .join_within("new-sellers", &opened, JoinWindows::within_ms(WINDOW_MS, GRACE_MS), |seller, opened_in| {
            (seller.starttime == *opened_in).then(|| seller.clone())
        })
        .flat_map_values(|_, seller| seller.clone())
        .with_value_codec(json())
        .to(output);
}
