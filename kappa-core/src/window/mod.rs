//! Windows: spans of event time that records are aggregated over.
//!
//! [`TimeWindows`] have a fixed size and a fixed distance between their starts, [`SlidingWindows`] are made by the records that lie
//! in them, [`SessionWindows`] last as long as records keep coming. The keys of what is aggregated over them are [`Windowed`].

mod session;
mod sliding;
mod time;

pub use session::SessionWindows;
pub use sliding::SlidingWindows;
pub use time::TimeWindows;

/// A span of event time, ms since 1970. Whether its end belongs to it is a matter of the kind of window: that of a time window does
/// not, that of a sliding window or a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// The first moment.
    pub start_ms: i64,
    /// Where it ends.
    pub end_ms: i64,
}

/// A key in a window (Kafka Streams: `Windowed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Windowed<K> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
}

impl<K> Windowed<K> {
    /// A key in the window from `start_ms` to `end_ms`.
    pub fn new(key: K, start_ms: i64, end_ms: i64) -> Self {
        Self { key, window: Window { start_ms, end_ms } }
    }
}
