//! The records that are shipped with the example.

use crate::app::{Airport, Flight};

const FLIGHTS: &str = include_str!("../data/flights.jsonl");
const AIRPORTS: &str = include_str!("../data/airports.jsonl");

/// Why the shipped data can't be used.
pub type DataError = Box<dyn std::error::Error + Send + Sync>;

/// The flights, in the order of their departure.
pub fn flights() -> Result<Vec<Flight>, DataError> {
    FLIGHTS.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The airports that occur in the flights.
pub fn airports() -> Result<Vec<Airport>, DataError> {
    AIRPORTS.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// `YYYY/MM/DD hh:mm`, read as UTC, as ms since 1970.
pub fn timestamp_ms(date: &str) -> Option<i64> {
    let number = |from: usize, to: usize| date.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let minutes = number(11, 13)? * 60 + number(14, 16)?;
    Some((days_since_1970(year, month, day) * 1_440 + minutes) * 60_000)
}

/// Days of the Gregorian calendar; the year is taken to begin in March, so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn dates_become_timestamps() {
        assert_eq!(timestamp_ms("1970/01/01 00:00"), Some(0));
        assert_eq!(timestamp_ms("2000/02/29 12:30"), Some(951_827_400_000));
        assert_eq!(timestamp_ms("2001/03/01 00:00"), Some(983_404_800_000));
        assert_eq!(timestamp_ms("soon"), None);
    }

    #[test]
    fn the_data_is_whole() {
        let (flights, airports) = (flights().unwrap(), airports().unwrap());
        assert_eq!((flights.len(), airports.len()), (20_000, 224));
        let codes: BTreeSet<&str> = airports.iter().map(|airport| airport.iata.as_str()).collect();
        assert!(flights.iter().all(|flight| codes.contains(flight.origin.as_str())));
        assert!(flights.is_sorted_by_key(|flight| timestamp_ms(&flight.date).unwrap()));
    }
}
