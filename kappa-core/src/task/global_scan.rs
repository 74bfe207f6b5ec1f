//! Ranges of a global table: what is in memory merged with the store behind.

use super::globals::{Row, Rows, row};
use kappa_state::{Direction, StateError, is_empty_range};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

/// An end of a range, in bytes.
type End<'b> = Bound<&'b [u8]>;
/// A row not in the store behind yet, by its key; `None` deletes.
type Recent<'r> = (&'r [u8], Option<&'r [u8]>);

/// The rows of a range, in the order of their keys' bytes, forwards or backwards.
pub(super) fn scan(
    rows: &Rows,
    name: &str,
    (from, to): (End<'_>, End<'_>),
    direction: Direction,
) -> Result<Vec<Row>, StateError> {
    let mut found = Vec::new();
    if is_empty_range(from, to) {
        return Ok(found);
    }
    let mut recent = recent(&rows.recent, from, to, direction).peekable();
    let mut behind = rows.behind.scan(from, to, direction)?;
    while let Some((key, bytes)) = behind.next()? {
        let comes_first = |(other, _): &Recent<'_>| match direction {
            Direction::Forward => *other < key,
            Direction::Backward => *other > key,
        };
        while let Some((other, bytes)) = recent.next_if(comes_first) {
            found.extend(bytes.map(|bytes| row(name, other, bytes)).transpose()?);
        }
        // What is in memory is newer than what lies behind.
        match recent.next_if(|(other, _)| other.cmp(&key) == Ordering::Equal) {
            Some((_, newer)) => found.extend(newer.map(|bytes| row(name, key, bytes)).transpose()?),
            None => found.push(row(name, key, bytes)?),
        }
    }
    for (key, bytes) in recent {
        found.extend(bytes.map(|bytes| row(name, key, bytes)).transpose()?);
    }
    Ok(found)
}

fn recent<'r>(
    recent: &'r BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    from: End<'_>,
    to: End<'_>,
    direction: Direction,
) -> Box<dyn Iterator<Item = Recent<'r>> + 'r> {
    let range = recent.range::<[u8], _>((from, to)).map(|(key, row)| (key.as_slice(), row.as_deref()));
    match direction {
        Direction::Forward => Box::new(range),
        Direction::Backward => Box::new(range.rev()),
    }
}
