//! The application: how late do flights leave each airport?
//!
//! Version 1 has a mistake in it, version 2 is the same program with the mistake mended.

use crate::names::Names;
use kappa_core::app::Version;
use kappa_core::codec::{json, utf8};
use kappa_core::topology::{Topology, TopologyError};
use serde::{Deserialize, Serialize};

/// The version with the mistake.
pub const V1: Version = Version(1);
/// The version without it.
pub const V2: Version = Version(2);

/// The name of the result.
pub const VIEW: &str = "delays-by-airport";

/// A record of topic `flights`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flight {
    /// Scheduled departure, local time, `YYYY/MM/DD hh:mm`.
    pub date: String,
    /// Minutes late; negative is early.
    pub delay: i64,
    /// The airport it leaves, by its IATA code.
    pub origin: String,
    /// The airport it goes to.
    pub destination: String,
}

/// A record of topic `airports`, keyed by IATA code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Airport {
    /// The IATA code.
    pub iata: String,
    /// The airport's name.
    pub name: String,
    /// The city it serves.
    pub city: String,
    /// The state.
    pub state: String,
}

/// A flight and the airport it leaves.
#[derive(Debug)]
pub struct Departure {
    city: String,
    minutes: i64,
}

/// What the view holds for every airport.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays {
    /// The city the airport serves.
    pub city: String,
    /// Departures.
    pub flights: u64,
    /// Minutes of delay, all departures together.
    pub late_minutes: i64,
}

impl Delays {
    /// Version 1. The mistake: who leaves early has negative minutes, and cancels out who leaves late.
    fn add_all(self, departure: &Departure) -> Self {
        self.add(departure, departure.minutes)
    }

    /// Version 2: an early departure is no delay.
    fn add_late(self, departure: &Departure) -> Self {
        self.add(departure, departure.minutes.max(0))
    }

    fn add(self, departure: &Departure, minutes: i64) -> Self {
        Self { city: departure.city.clone(), flights: self.flights + 1, late_minutes: self.late_minutes + minutes }
    }
}

/// What the application computes.
pub fn topology(version: Version, names: &Names) -> Result<Topology, TopologyError> {
    let add = if version == V1 { Delays::add_all } else { Delays::add_late };
    let mut app = Topology::builder();
    let airports = app.table(&names.airports, utf8(), json::<Airport>());
    app.stream(&names.flights, utf8(), json::<Flight>())
        .select_key(utf8(), |_, flight| flight.origin.clone())
        .join(&airports, |flight, airport| Departure { city: airport.city.clone(), minutes: flight.delay })
        .group_by_key()
        .aggregate("delays", json(), Delays::default, move |_, departure, delays| add(delays, departure))
        .to_view(VIEW);
    app.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kappa_core::testing::TestDriver;

    fn view_after_three_flights(version: Version) -> Result<Delays, Box<dyn std::error::Error>> {
        let driver = TestDriver::new(&topology(version, &Names::plain())?)?;
        let airport = Airport { iata: "ORD".into(), name: "O'Hare".into(), city: "Chicago".into(), state: "IL".into() };
        driver.input("airports", utf8(), json::<Airport>()).pipe("ORD", airport, 0)?;
        let flights = driver.input("flights", utf8(), json::<Flight>());
        for (time, delay) in [(1, 30), (2, -10), (3, 5)] {
            let (origin, destination) = ("ORD".to_owned(), "DTW".to_owned());
            flights.pipe("ORD-DTW", Flight { date: String::new(), delay, origin, destination }, time)?;
        }
        let changes = driver.view(VIEW, utf8(), json::<Delays>()).read_all()?;
        let (_, delays, _) = changes.into_iter().next_back().ok_or("the view is empty")?;
        Ok(delays.ok_or("the view's last record is a deletion")?)
    }

    #[test]
    fn the_mistake_and_its_mend_differ_by_the_early_minutes() -> Result<(), Box<dyn std::error::Error>> {
        let delays = |late_minutes| Delays { city: "Chicago".into(), flights: 3, late_minutes };
        assert_eq!(view_after_three_flights(V1)?, delays(25));
        assert_eq!(view_after_three_flights(V2)?, delays(35));
        Ok(())
    }
}
