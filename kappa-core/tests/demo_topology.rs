//! The flights demo, as a user writes it: the yardstick of how the API reads.

use kappa_core::codec::{json, utf8};
use kappa_core::testing::TestDriver;
use kappa_core::topology::{Topology, TopologyError};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Airport {
    city: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Flight {
    origin: String,
    delay_minutes: i64,
}

struct Delay {
    city: String,
    minutes: i64,
}

impl Delay {
    fn new(flight: &Flight, airport: &Airport) -> Self {
        Self { city: airport.city.clone(), minutes: flight.delay_minutes }
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Delays {
    city: String,
    flights: u64,
    minutes: i64,
}

impl Delays {
    fn add(self, delay: &Delay) -> Self {
        Self { city: delay.city.clone(), flights: self.flights + 1, minutes: self.minutes + delay.minutes }
    }
}

fn topology() -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let airports = app.table("airports", utf8(), json::<Airport>());
    app.stream("flights", utf8(), json::<Flight>())
        .filter(|_, flight| flight.delay_minutes > 0)
        .select_key(utf8(), |_, flight| flight.origin.clone())
        .join(&airports, Delay::new)
        .group_by_key()
        .aggregate("delays", json(), Delays::default, |_, delay, delays| delays.add(delay))
        .to_view("delays-by-airport");
    app.build()
}

fn flight(origin: &str, delay_minutes: i64) -> Flight {
    Flight { origin: origin.to_owned(), delay_minutes }
}

#[test]
fn delays_are_counted_by_airport() -> Result<(), Box<dyn std::error::Error>> {
    let driver = TestDriver::new(&topology()?)?;
    driver.input("airports", utf8(), json::<Airport>()).pipe("PRG", Airport { city: "Praha".to_owned() }, 0)?;
    let flights = driver.input("flights", utf8(), json::<Flight>());
    flights.pipe("OK1", flight("PRG", 25), 1_000)?;
    flights.pipe("OK2", flight("PRG", -5), 2_000)?;
    flights.pipe("OK3", flight("XXX", 60), 3_000)?;
    flights.pipe("OK4", flight("PRG", 10), 4_000)?;

    let delays = driver.view("delays-by-airport", utf8(), json::<Delays>());
    let after = |flights, minutes| Some(Delays { city: "Praha".to_owned(), flights, minutes });
    assert_eq!(delays.read_all()?, [("PRG".into(), after(1, 25), 1_000), ("PRG".into(), after(2, 35), 4_000)]);
    Ok(())
}

#[test]
fn the_description_names_everything_after_what_the_user_named() -> Result<(), TopologyError> {
    let expected = "\
Topologies:
   Sub-topology: 0
    Source: airports.source (topics: [airports])
      --> airports.table
    Processor: airports.table (stores: [airports])
      --> none
      <-- airports.source
    Source: airports-join.source (topics: [airports-join-repartition])
      --> airports-join.join
    Processor: airports-join.join (stores: [airports])
      --> delays.aggregate
      <-- airports-join.source
    Processor: delays.aggregate (stores: [delays])
      --> delays-by-airport.view
      <-- airports-join.join
    Sink: delays-by-airport.view (topic: delays-by-airport-view)
      <-- delays.aggregate

  Sub-topology: 1
    Source: flights.source (topics: [flights])
      --> flights.filter
    Processor: flights.filter (stores: [])
      --> flights.select_key
      <-- flights.source
    Processor: flights.select_key (stores: [])
      --> airports-join.repartition
      <-- flights.filter
    Sink: airports-join.repartition (topic: airports-join-repartition)
      <-- flights.select_key

";
    assert_eq!(topology()?.describe(), expected);
    Ok(())
}
