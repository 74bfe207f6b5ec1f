//! Windows of a fixed size.

use super::Window;

/// Windows of a fixed size whose starts are a fixed distance apart, counted from 1970 (Kafka Streams: `TimeWindows`). A window
/// contains its start and not its end.
///
/// Without [`grace`](Self::grace) a record is late, and dropped, as soon as a record of the end of its window, or later, has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindows {
    pub(crate) size_ms: i64,
    pub(crate) advance_ms: i64,
    pub(crate) grace_ms: i64,
    /// Where the one window starts, if there is but one.
    pub(crate) unlimited_ms: Option<i64>,
}

impl TimeWindows {
    /// Windows of `size_ms`, each beginning where the one before ends.
    pub fn tumbling(size_ms: i64) -> Self {
        Self { size_ms, advance_ms: size_ms, grace_ms: 0, unlimited_ms: None }
    }

    /// Windows of `size_ms`, one beginning every `advance_ms`: where that is less, records are in several windows.
    pub fn hopping(size_ms: i64, advance_ms: i64) -> Self {
        Self { advance_ms, ..Self::tumbling(size_ms) }
    }

    /// One window from `start_ms` on that never ends (Kafka Streams: `UnlimitedWindows`). Earlier records are in no window.
    pub fn unlimited(start_ms: i64) -> Self {
        Self { size_ms: i64::MAX, advance_ms: i64::MAX, grace_ms: 0, unlimited_ms: Some(start_ms) }
    }

    /// How long after its end a window takes late records.
    pub fn grace(self, grace_ms: i64) -> Self {
        Self { grace_ms, ..self }
    }

    /// The windows that contain a moment, by start.
    pub(crate) fn containing(&self, timestamp_ms: i64) -> impl Iterator<Item = Window> + use<> {
        let Self { size_ms, advance_ms, unlimited_ms, .. } = *self;
        let first = match unlimited_ms {
            Some(start_ms) => start_ms,
            None => (timestamp_ms.saturating_sub(size_ms).saturating_add(advance_ms)).max(0) / advance_ms * advance_ms,
        };
        let starts = std::iter::successors(Some(first), move |start_ms| start_ms.checked_add(advance_ms));
        starts
            .take_while(move |start_ms| *start_ms <= timestamp_ms)
            .map(move |start_ms| Window { start_ms, end_ms: start_ms.saturating_add(size_ms) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(windows: TimeWindows, timestamp_ms: i64) -> Vec<i64> {
        windows.containing(timestamp_ms).map(|window| window.start_ms).collect()
    }

    /// As Kafka's `TimeWindowsTest` and `UnlimitedWindowsTest`.
    #[test]
    fn a_moment_is_in_the_windows_of_kafkas_tests() {
        let hopping = TimeWindows::hopping(12, 5);
        assert_eq!(starts(hopping, 21), [10, 15, 20]);
        assert_eq!(starts(TimeWindows::hopping(10, 5), 12), [5, 10]);
        assert_eq!(starts(TimeWindows::tumbling(12), 21), [12]);
        assert_eq!(starts(TimeWindows::tumbling(12), 24), [24]);
        assert_eq!(starts(hopping, 3), [0], "none starts before 1970");
        assert_eq!(starts(TimeWindows::unlimited(10), 10), [10]);
        assert_eq!(starts(TimeWindows::unlimited(10), 9), [0_i64; 0]);
        assert_eq!(TimeWindows::unlimited(10).containing(99).next(), Some(Window { start_ms: 10, end_ms: i64::MAX }));
    }
}
