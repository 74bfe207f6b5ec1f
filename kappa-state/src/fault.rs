//! Named points in the writing of state at which a test can end the process.

/// Where a process can be made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Nothing of the layer is written.
    BeforeFile,
    /// The layer's entries are written, its file is neither finished nor synced.
    FileWritten,
    /// The file is whole, the database doesn't know it.
    BeforeIngest,
    /// The database has it, the caller has not been told.
    Ingested,
}

#[cfg(not(feature = "testing"))]
#[inline(always)]
pub(crate) fn point(_at: Point) {}

#[cfg(feature = "testing")]
pub(crate) use armed::point;
#[cfg(feature = "testing")]
pub use armed::{POINTS_PER_APPLY, abort_at_point};

#[cfg(feature = "testing")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Point;

    /// How many points a process passes in one `apply` to a store on disk.
    pub const POINTS_PER_APPLY: u64 = 4;

    /// Points to go; 0 is never.
    static LEFT: AtomicU64 = AtomicU64::new(0);

    /// Makes the process abort at the `number`th point it comes to from now on (the first is 1).
    pub fn abort_at_point(number: u64) {
        LEFT.store(number, Ordering::SeqCst);
    }

    pub(crate) fn point(_at: Point) {
        let left = LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) {
            std::process::abort();
        }
    }
}
