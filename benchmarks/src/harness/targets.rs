//! What is aimed at, and what Kafka Streams took where the aims were set: the tables.

/// The aims of a query cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// The cell.
    pub(super) cell: &'static str,
    /// Kafka Streams' marginal cost over kappa's, at least.
    pub(super) marginal_times: f64,
    /// Kafka Streams' cost at the greater length over kappa's, whole processes, at least; where something is aimed at.
    pub(super) whole_times: Option<f64>,
    /// kappa's distance from the floor, at most.
    pub(super) times_floor: f64,
}

const fn cell(cell: &'static str, marginal_times: f64, whole_times: f64) -> Target {
    Target { cell, marginal_times, whole_times: Some(whole_times), times_floor: 1.35 }
}

/// Joins and windows.
const fn site(cell: &'static str) -> Target {
    Target { cell, marginal_times: 4.0, whole_times: None, times_floor: 1.5 }
}

/// In the order of the results.
pub(super) const CELLS: [Target; 12] = [
    cell("q0-bin", 2.2, 4.0),
    cell("q0-json", 2.8, 4.0),
    cell("q2-json", 2.5, 4.0),
    cell("count-local-bin", 3.5, 6.0),
    cell("count-local-json", 4.5, 6.0),
    cell("count-json", 4.2, 5.5),
    cell("count-unique-json", 5.0, 5.0),
    site("q3-json"),
    site("q4-json"),
    site("q5-json"),
    site("q7-json"),
    site("q8-json"),
];

/// A curve's greatest cost over its least, at most; or the reason stands beside the chart.
pub(super) const FLAT_WITHIN: f64 = 1.5;
/// What may be resident beyond the budget, MiB.
pub(super) const BEYOND_BUDGET_MIB: f64 = 64.0;

/// What a figure must keep to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// No more than this part of Kafka Streams' figure.
    PartOfStreams(f64),
    /// None.
    None,
}

/// A figure of a cell with a name for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub(super) cell: &'static str,
    /// Its name in the row; `cpu_s_per_m` is the row's own.
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    /// Decimal places.
    pub(super) places: usize,
    pub(super) bound: Bound,
}

const fn figure(cell: &'static str, name: &'static str, words: &'static str, places: usize, bound: Bound) -> Figure {
    Figure { cell, name, words, places, bound }
}

/// In the order of the results.
pub(super) const FIGURES: [Figure; 25] = [
    figure("restore", "cpu_s_per_m", "restore of count-unique, CPU-s a million records", 2, Bound::AtMost(0.6)),
    figure("restore", "records_per_s", "… records a second, from start to running", 0, Bound::AtLeast(1_200_000.0)),
    figure("restore", "records_per_restoring_s", "… records a second, while restoring", 0, Bound::AtLeast(1_200_000.0)),
    figure(
        "replay",
        "live_cpu_s_per_m",
        "count-json as a live version, CPU-s a further million records",
        2,
        Bound::None,
    ),
    figure("replay", "replay_cpu_s_per_m", "… as a version that replays", 2, Bound::None),
    figure("replay", "replay_times_live", "… beside the live version's", 2, Bound::AtMost(0.7)),
    figure("memory", "rss_count_unique_mib", "resident at most, count-unique, MiB", 0, Bound::PartOfStreams(1.0 / 6.0)),
    figure("memory", "rss_q0_mib", "resident at most, q0, MiB", 0, Bound::PartOfStreams(1.0 / 8.0)),
    figure("latency", "p50_ms_commit_100", "latency, commit each 100 ms: p50, ms", 0, Bound::None),
    figure("latency", "p99_ms_commit_100", "… p99, ms", 0, Bound::AtMost(130.0)),
    figure("latency", "p999_ms_commit_100", "… p99.9, ms", 0, Bound::None),
    figure("latency", "max_ms_commit_100", "… greatest, ms", 0, Bound::None),
    figure("latency", "p50_ms_commit_20", "latency, commit each 20 ms: p50, ms", 0, Bound::None),
    figure("latency", "p99_ms_commit_20", "… p99, ms", 0, Bound::AtMost(50.0)),
    figure("latency", "p999_ms_commit_20", "… p99.9, ms", 0, Bound::None),
    figure("latency", "max_ms_commit_20", "… greatest, ms", 0, Bound::None),
    figure(
        "recovery",
        "kill_to_result_s_static",
        "kill -9 to first new result, static member, s",
        2,
        Bound::AtMost(0.7),
    ),
    figure("recovery", "kill_to_result_s_default", "… default, s", 2, Bound::AtMost(12.0)),
    figure(
        "recovery",
        "restart_silence_s_static",
        "clean restart of one of two, static: its tasks silent, s",
        2,
        Bound::AtMost(1.0),
    ),
    figure("recovery", "restart_others_silence_s_static", "… other tasks' longest silence, s", 2, Bound::None),
    figure(
        "recovery",
        "restart_silence_s_default",
        "clean restart of one of two, default: its tasks silent, s",
        2,
        Bound::AtMost(1.0),
    ),
    figure("recovery", "restart_others_silence_s_default", "… other tasks' longest silence, s", 2, Bound::None),
    figure("memory", "many_keys", "many keys: how many", 0, Bound::None),
    figure("memory", "many_keys_state_mib", "… their state on disk, MiB", 0, Bound::None),
    figure("memory", "many_keys_budget_mib", "… the budget (RocksDB and cache), MiB", 0, Bound::None),
];

impl Bound {
    /// In words.
    pub(super) fn words(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most}"),
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::PartOfStreams(part) => format!("≤ 1/{:.0}", 1.0 / part),
            Self::None => String::new(),
        }
    }

    /// Whether a figure keeps to it; `None` where there is nothing to keep to.
    pub(super) fn is_met(self, ours: f64, streams: Option<f64>) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(ours <= most),
            Self::AtLeast(least) => Some(ours >= least),
            Self::PartOfStreams(part) => streams.map(|streams| ours <= part * streams),
            Self::None => None,
        }
    }
}
