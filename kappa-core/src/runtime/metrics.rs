//! The numbers an operator watches, in Prometheus form.
//!
//! Invariant: threads count in plain integers and add to the counters once a turn; nothing here is called per record.

use crate::Error;
use crate::task::ParkingCounts;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// All metrics of one application's runtime.
#[derive(Debug, Clone)]
pub struct RuntimeMetrics {
    registry: Registry,
    /// Records processed.
    pub records: IntCounter,
    /// Bytes of their keys and values.
    pub bytes: IntCounter,
    /// Records written to outputs, changelogs included; those of aborted transactions too.
    pub records_out: IntCounter,
    /// Commits.
    pub commits: IntCounter,
    /// Time of commits.
    pub commit_seconds: Histogram,
    /// Changes of this process's tasks.
    pub rebalances: IntCounter,
    /// Tasks this process runs.
    pub tasks_running: IntGauge,
    /// Tasks this process is restoring.
    pub tasks_restoring: IntGauge,
    /// Changelog records restored.
    pub restored_records: IntCounter,
    /// Time from a task's assignment to its first record.
    pub restore_seconds: Histogram,
    /// Bytes of state on disk or in memory.
    pub state_bytes: IntGaugeVec,
    /// 1 while the version replays.
    pub replaying: IntGauge,
    /// Committed changelog records that are only in memory.
    pub tail_records: IntGauge,
    /// Records not yet processed, by input partition.
    pub lag: IntGaugeVec,
    /// Records deleted from repartition topics, as offsets: transaction markers included.
    pub purged_records: IntCounter,
    /// Purges of repartition topics that failed and are tried again.
    pub purge_failures: IntCounter,
    /// Keys that are parked now, by task.
    pub parked_keys: IntGaugeVec,
    /// Records that are parked now, by task.
    pub parked_records: IntGaugeVec,
    parking: IntCounterVec,
    aborts: IntCounterVec,
    skipped: IntCounterVec,
    errors: IntCounterVec,
}

impl RuntimeMetrics {
    /// Metrics of one application id; every sample carries it as the label `app`.
    pub fn new(application_id: &str) -> Result<Self, Error> {
        let labels = [("app".to_owned(), application_id.to_owned())].into_iter().collect();
        let failed =
            |error: prometheus::Error| Error::System { operation: "registering metrics", reason: error.to_string() };
        let registry = Registry::new_custom(Some("kappa".into()), Some(labels)).map_err(failed)?;
        let make = Make { registry: &registry };
        let metrics = Self {
            records: make.counter("records_total", "Records processed").map_err(failed)?,
            bytes: make.counter("record_bytes_total", "Bytes of keys and values processed").map_err(failed)?,
            records_out: make.counter("records_out_total", "Records written, changelogs included").map_err(failed)?,
            commits: make.counter("commits_total", "Commits").map_err(failed)?,
            commit_seconds: make.histogram("commit_seconds", "Time of a commit", 0.001, 14).map_err(failed)?,
            rebalances: make.counter("rebalances_total", "Changes of this process's tasks").map_err(failed)?,
            tasks_running: make.gauge("tasks_running", "Tasks this process runs").map_err(failed)?,
            tasks_restoring: make.gauge("tasks_restoring", "Tasks this process restores").map_err(failed)?,
            restored_records: make.counter("restored_records_total", "Changelog records restored").map_err(failed)?,
            restore_seconds: make
                .histogram("restore_seconds", "Time from a task's assignment to its first record", 0.01, 16)
                .map_err(failed)?,
            state_bytes: make.gauges("state_bytes", "Bytes of state", &["store"]).map_err(failed)?,
            replaying: make.gauge("replaying", "1 while the version replays").map_err(failed)?,
            tail_records: make
                .gauge("tail_records", "Committed changelog records that are only in memory")
                .map_err(failed)?,
            lag: make.gauges("lag_records", "Records not yet processed", &["topic", "partition"]).map_err(failed)?,
            purged_records: make
                .counter(
                    "purged_records_total",
                    "Records deleted from repartition topics, transaction markers included",
                )
                .map_err(failed)?,
            purge_failures: make
                .counter("purge_failures_total", "Purges of repartition topics that failed and are tried again")
                .map_err(failed)?,
            parked_keys: make.gauges("parked_keys", "Keys that are parked", &["task"]).map_err(failed)?,
            parked_records: make.gauges("parked_records", "Records that are parked", &["task"]).map_err(failed)?,
            parking: make
                .counters("parking_records_total", "Records parked, released and discarded", &["task", "what"])
                .map_err(failed)?,
            aborts: make.counters("aborts_total", "Transactions aborted", &["reason"]).map_err(failed)?,
            skipped: make.counters("skipped_records_total", "Records left out", &["reason"]).map_err(failed)?,
            errors: make.counters("errors_total", "Errors", &["kind"]).map_err(failed)?,
            registry: registry.clone(),
        };
        Ok(metrics)
    }

    /// A transaction was aborted.
    pub fn abort(&self, reason: &str) {
        self.aborts.with_label_values(&[reason]).inc();
    }

    /// Records were left out.
    pub fn skip(&self, reason: &str, records: u64) {
        self.skipped.with_label_values(&[reason]).inc_by(records);
    }

    /// What a task has parked, released and discarded in committed transactions, and what is parked in it now.
    pub fn parking(&self, task: &str, counts: ParkingCounts) {
        let ParkingCounts { parked, released, discarded, keys, records } = counts;
        for (what, count) in [("parked", parked), ("released", released), ("discarded", discarded)] {
            if count > 0 {
                self.parking.with_label_values(&[task, what]).inc_by(count);
            }
        }
        self.parked_keys.with_label_values(&[task]).set(keys as i64);
        self.parked_records.with_label_values(&[task]).set(records as i64);
    }

    /// How many records of a task were `parked`, `released` or `discarded`.
    pub fn parking_total(&self, task: &str, what: &str) -> u64 {
        self.parking.with_label_values(&[task, what]).get()
    }

    /// A task is no longer this process's.
    pub fn forget_parking(&self, task: &str) {
        // It is an error where there was none: nothing was parked then.
        let _ = self.parked_keys.remove_label_values(&[task]);
        let _ = self.parked_records.remove_label_values(&[task]);
    }

    /// An error happened.
    pub fn error(&self, kind: &str) {
        self.errors.with_label_values(&[kind]).inc();
    }

    /// How many records were left out for this reason.
    pub fn skipped(&self, reason: &str) -> u64 {
        self.skipped.with_label_values(&[reason]).get()
    }

    /// Everything in Prometheus' text form.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("# metrics can't be encoded: {error}\n"),
        }
    }
}

struct Make<'a> {
    registry: &'a Registry,
}

impl Make<'_> {
    fn keep<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.keep(IntCounter::new(name, help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.keep(IntGauge::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, from: f64, buckets: usize) -> Result<Histogram, prometheus::Error> {
        let buckets = prometheus::exponential_buckets(from, 2.0, buckets)?;
        self.keep(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
    }
}
