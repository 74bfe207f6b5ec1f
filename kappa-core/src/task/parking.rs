//! What a task says of its parking, for the metrics.

/// What has happened since it was asked last, and what is parked now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParkingCounts {
    /// Records parked: those that failed, and those behind them.
    pub parked: u64,
    /// Parked records that were processed when they were released.
    pub released: u64,
    /// Parked records that were thrown away by command.
    pub discarded: u64,
    /// Keys that are parked now.
    pub keys: u64,
    /// Records that are parked now.
    pub records: u64,
}
