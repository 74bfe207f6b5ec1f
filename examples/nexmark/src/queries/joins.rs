//! Queries on persons and auctions.

use super::{GRACE_MS, Site};
use crate::events::{Auction, Person};
use crate::results::{LocalItem, NewSeller};
use kappa_core::codec::{i64_be, json};
use kappa_core::dsl::JoinWindows;

const WINDOW_MS: i64 = 10_000;

pub(super) fn local_items(site: &mut Site<'_>, output: &str) {
    let local = |state: &str| ["OR", "ID", "CA"].contains(&state);
    let sellers = site.persons().filter(move |_, person| local(&person.state)).to_table("sellers");
    let items = site.auctions().filter(|_, auction| auction.category == 10).to_table("items");
    let item = |auction: &Auction, seller: &Person| {
        let Person { name, city, state, .. } = seller.clone();
        LocalItem { name, city, state, id: auction.id }
    };
    items.join_foreign_key("local-items", json(), &sellers, |_, auction| Some(auction.seller), item).to(output);
}

pub(super) fn new_sellers(site: &mut Site<'_>, output: &str) {
    let window = |time_ms: i64| time_ms - time_ms % WINDOW_MS;
    let registered = site
        .persons()
        .map_values(move |_, p| NewSeller { id: p.id, name: p.name.clone(), starttime: window(p.date_time) })
        .with_value_codec(json());
    let opened = site
        .auctions()
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
