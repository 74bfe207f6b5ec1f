//! `nexmark [EVENTS] [SEED]`: runs the queries in memory over made-up events and prints how many results there are, with
//! their digest, and whether a plain computation gives the same.

use nexmark::{Query, expected, run};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let events = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;
    for query in Query::ALL {
        let found = run(query, events, seed)?;
        let verdict = if found == expected(query, events, seed) { "as expected" } else { "WRONG" };
        println!("{:<4} {:>8} {found} {verdict}", query.name(), found.count());
    }
    Ok(())
}
