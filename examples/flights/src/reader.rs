//! A reader of the view. It knows the view's name and nothing of versions.

use crate::app::{Delays, VIEW};
use crate::data::DataError;
use crate::names::Names;
use crate::screen::number;
use kappa_core::codec::{json, utf8};
use kappa_core::log::SharedLog;
use kappa_core::view::{ViewEvent, ViewReader, ViewSnapshot};
use std::time::{Duration, Instant};

/// The airports whose values the reader prints: the three busiest.
const SHOWN: [&str; 3] = ["DFW", "ORD", "ATL"];
const INTERVAL: Duration = Duration::from_secs(2);

/// The view as a reader sees it.
pub type View = ViewReader<String, Delays>;

/// Opens the view by its name.
pub fn open(log: &SharedLog, names: &Names) -> View {
    ViewReader::open(log.clone(), &names.registry, VIEW, utf8(), json())
}

/// Follows the view until `stopped`, and prints what it sees now and then, and whenever it is switched.
pub fn follow(
    log: &SharedLog,
    names: &Names,
    stopped: impl Fn() -> bool,
    mut print: impl FnMut(String),
) -> Result<(), DataError> {
    let mut view = open(log, names);
    let mut shown = Instant::now();
    while !stopped() {
        let events = view.poll(Duration::from_millis(100))?;
        let switched = events.iter().any(|event| matches!(event, ViewEvent::Switched { .. }));
        let Some(snapshot) = view.snapshot().filter(|_| switched || shown.elapsed() >= INTERVAL) else { continue };
        shown = Instant::now();
        print(line(&snapshot));
    }
    view.close(Duration::from_secs(5))?;
    Ok(())
}

fn line(snapshot: &ViewSnapshot<String, Delays>) -> String {
    let values = SHOWN.iter().filter_map(|code| {
        let delays = snapshot.entries.get(*code)?;
        Some(format!("{} {:>9} min", delays.city, number(delays.late_minutes)))
    });
    let values: Vec<String> = values.collect();
    format!("   reader │ {} │ made by {}", values.join(" · "), snapshot.serving)
}
