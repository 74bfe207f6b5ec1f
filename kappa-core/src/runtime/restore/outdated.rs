//! Local state that is too old to be mended by the changelog's tail.
//!
//! A compacted changelog keeps a deletion for `delete.retention.ms` (24 h by default). A store that has not been written for longer
//! may hold keys whose deletion is gone from the changelog: reading on from its mark would bring them back to life. Such a store
//! is read again from the beginning; unless nothing at all was written since its mark.

use crate::Error;
use kappa_state::{Mark, StateBackend, StoreId};

/// Removes a store whose state is older than `age_max_ms` while its changelog has gone on.
pub(super) fn discard_outdated(
    state: &dyn StateBackend,
    id: &StoreId,
    changelog_end: i64,
    age_max_ms: i64,
    now_ms: i64,
) -> Result<(), Error> {
    let Some(mark) = state.open(id)?.mark().cloned() else { return Ok(()) };
    let Some(written_at_ms) = written_at_ms(&mark) else { return Ok(()) };
    // One behind is the commit marker of the last transaction.
    let unchanged = changelog_end <= mark.changelog_offset + 1;
    if unchanged || now_ms - written_at_ms <= age_max_ms {
        return Ok(());
    }
    let hours = (now_ms - written_at_ms) / 3_600_000;
    tracing::warn!(store = %id, hours, "local state is older than the changelog keeps deletions: restored from the beginning");
    Ok(state.remove(id)?)
}

/// A store's operator time: stream time and the time of the commit, each 8 bytes big-endian; the stream time is the smallest
/// number before the first record.
pub(crate) fn operator_time(stream_time_ms: Option<i64>, now_ms: i64) -> Vec<u8> {
    let mut bytes = stream_time_ms.unwrap_or(i64::MIN).to_be_bytes().to_vec();
    bytes.extend_from_slice(&now_ms.to_be_bytes());
    bytes
}

/// Whether something was committed into the store: without, time has not begun for it.
pub(super) fn has_state(mark: &Mark) -> bool {
    mark.operator_time.get(..8).is_some_and(|time| time != i64::MIN.to_be_bytes())
}

fn written_at_ms(mark: &Mark) -> Option<i64> {
    let bytes = mark.operator_time.get(8..16)?;
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kappa_state::{Layer, MemoryBackend};

    const HOUR: i64 = 3_600_000;

    fn kept(changelog_end: i64, now_ms: i64) -> bool {
        let (state, id) = (MemoryBackend::new(), StoreId { task: "counts-0".into(), store: "counts".into() });
        let mark = Mark { changelog_offset: 10, operator_time: operator_time(Some(5), 0) };
        state.open(&id).expect("opened").apply(&Layer::default(), &mark).expect("written");
        discard_outdated(&state, &id, changelog_end, 12 * HOUR, now_ms).expect("looked at");
        state.open(&id).expect("opened").mark().is_some()
    }

    #[test]
    fn only_old_state_with_a_changed_changelog_is_left_behind() {
        assert!(kept(500, 11 * HOUR));
        assert!(kept(11, 100 * HOUR));
        assert!(!kept(12, 13 * HOUR));
    }
}
