//! Queries on what auctions bring.

use super::Site;
use crate::events::{Auction, Bid};
use crate::results::{CategoryAverage, Closing, LastSales, Lifetime, Sale, SellerAverage, Total, WinningBid};
use kappa_core::codec::{i64_be, json};
use kappa_core::dsl::KTable;

pub(super) fn average_of_categories(site: &mut Site<'_>, output: &str) {
    let lifetimes = site
        .auctions()
        .map_values(|_, a| Lifetime { category: a.category, date_time: a.date_time, expires: a.expires })
        .with_value_codec(json())
        .to_table("lifetimes");
    // A bid of the auction's own millisecond does not count: which of the two is read first is left open.
    let closing = |bid: &Bid, auction: &Lifetime| {
        let open = bid.date_time > auction.date_time && bid.date_time <= auction.expires;
        open.then_some(Closing { category: auction.category, price: bid.price })
    };
    site.bids()
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

/// The highest bid of each auction while it was open.
pub(super) fn winning_bids(site: &mut Site<'_>) -> KTable<i64, WinningBid> {
    let auctions = site.auctions().to_table("auctions");
    let taken = |bid: &Bid, auction: &Auction| {
        let open = bid.date_time > auction.date_time && bid.date_time <= auction.expires;
        open.then(|| WinningBid::of(auction, bid))
    };
    site.bids()
        .join(&auctions, taken)
        .flat_map_values(|_, bid| bid.clone())
        .with_value_codec(json())
        .group_by_key()
        .reduce("winning-bids", WinningBid::better)
}

/// A higher bid takes the auction's old price out and puts the new one in, so that ten auctions a seller are all that is kept.
pub(super) fn average_of_sellers(site: &mut Site<'_>, output: &str) {
    let sale = |auction: &i64, bid: &WinningBid| Sale { auction: *auction, expires: bid.expires, price: bid.price };
    winning_bids(site)
        .group_by(i64_be(), json(), move |auction, bid| Some((bid.seller, sale(auction, bid))))
        .aggregate(
            "last-sales",
            json(),
            LastSales::default,
            |_, sale: &Sale, sales: LastSales| sales.with(sale),
            |_, sale: &Sale, sales: LastSales| sales.without(sale),
        )
        .to_stream()
        .flat_map_values(|seller, sales| sales.average().map(|average| SellerAverage { seller: *seller, average }))
        .with_value_codec(json())
        .to(output);
}
