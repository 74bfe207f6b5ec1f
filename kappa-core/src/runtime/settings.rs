//! Everything an operator can set, with defaults that are right for most.

use crate::Error;
use crate::task::{CallPool, CallRunner};
use kappa_state::TailBound;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What the results are worth after a failure (Kafka Streams: `processing.guarantee`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Every input record has its effect exactly once, in outputs, state and offsets together.
    ExactlyOnce,
    /// Every input record has its effect at least once: cheaper, and a failure repeats some.
    AtLeastOnce,
}

/// What becomes of a record that can't be decoded or has no valid timestamp (Kafka Streams: `deserialization.exception.handler`),
/// and of one whose processing fails (`processing.exception.handler`, `production.exception.handler`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadRecords {
    /// The application stops with an error that names it. Nothing is lost: the record is read again.
    Fail,
    /// It is left out, with a metric and a log line.
    Skip,
    /// It is written to this topic as it came, in the same transaction, with headers that say where it came from
    /// and why (Kafka Streams: `errors.dead.letter.queue.topic.name`, KIP-1034).
    DeadLetter(String),
}

/// Settings of a runtime. Each field names its environment variable, read by [`Settings::from_env`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// `KAPPA_GUARANTEE`: `exactly-once` (default) or `at-least-once`.
    pub guarantee: Guarantee,
    /// `KAPPA_COMMIT_INTERVAL_MS`, default 100 (Kafka Streams: `commit.interval.ms` under exactly-once). Shorter: fresher outputs and more
    /// work for the broker; longer: cheaper, larger transactions.
    pub commit_interval_ms: i64,
    /// `KAPPA_REPLAY_COMMIT_INTERVAL_MS`, default 2,000: the same while the version replays, which is while it is not live and has not
    /// caught up: nobody waits for its results. A hot key is written once in that time, and a crash repeats as much work. What has
    /// reached the end of its inputs is committed as ever. Half of `KAPPA_TRANSACTION_TIMEOUT_MS` is the most. 0, or what is not
    /// longer than `KAPPA_COMMIT_INTERVAL_MS`: no difference.
    pub replay_commit_interval_ms: i64,
    /// `KAPPA_THREADS`: stream threads, default 1 (Kafka Streams: `num.stream.threads`).
    pub stream_threads: usize,
    /// `KAPPA_RESTORE_THREADS`, default 1.
    pub restore_threads: usize,
    /// `KAPPA_STATE_DIR`: where state lives; one directory a process. Unset: in memory, restored in full at every start.
    pub state_dir: Option<PathBuf>,
    /// `KAPPA_INSTANCE_ID`: a static seat in the group, kept over a restart (`group.instance.id`). Unset: none.
    pub instance_id: Option<String>,
    /// `KAPPA_SESSION_TIMEOUT_MS`, default 10,000: a process not heard of for so long loses its tasks.
    pub session_timeout_ms: i64,
    /// `KAPPA_HEARTBEAT_INTERVAL_MS`, default 1,000.
    pub heartbeat_interval_ms: i64,
    /// `KAPPA_TRANSACTION_TIMEOUT_MS`, default 10,000 (Kafka Streams' value too): the broker ends a transaction older than this,
    /// and a lost machine's open transaction holds readers up for so long at most.
    pub transaction_timeout_ms: i64,
    /// `KAPPA_TAKEOVER_AFTER_MS`, default 1,000: offsets held by an open transaction for longer than this make the new owner
    /// of a task end the old owner's transaction.
    pub takeover_after_ms: i64,
    /// `KAPPA_CACHE_BYTES`, default 64 MiB for the process: changes that may wait in stores' buffers for the next commit
    /// (Kafka Streams: `statestore.cache.max.bytes`). 0 passes every single update on.
    pub cache_bytes: usize,
    /// `KAPPA_MEMORY_BYTES`, default 256 MiB: RocksDB's block cache and write buffers, all stores of the process together.
    pub memory_bytes: usize,
    /// `KAPPA_RESTORING_BYTES`, default 64 MiB: what restores keep in memory before they write it, all restore threads together. More:
    /// fewer and larger files, which cost less to merge.
    pub restoring_bytes: usize,
    /// `KAPPA_TAIL_RECORDS`, `KAPPA_TAIL_BYTES`, `KAPPA_TAIL_AGE_MS`: a bound, for each store, on what is committed but only in memory,
    /// and so on what is restored after a crash. Defaults 100,000 records, 16 MiB, 30 s; of stores that are as old a few are written after each
    /// commit.
    pub tail_bound: TailBound,
    /// `KAPPA_TAILS_BYTES`, default 64 MiB: what is committed but only in memory in all stores of all tasks together. A stream thread whose
    /// stores keep more than its part writes the largest of them; those of less than 256 KiB stay.
    pub tails_bytes: usize,
    /// `KAPPA_STATE_AGE_MAX_MS`, default 12 h: local state not written for longer is restored from the beginning, since a changelog keeps
    /// deletions for `delete.retention.ms` (24 h) only.
    pub state_age_max_ms: i64,
    /// `KAPPA_BAD_RECORDS`: `fail` (default), `skip`, or `dead-letter:TOPIC`.
    pub bad_records: BadRecords,
    /// `KAPPA_FAILED_RECORDS`: the same for a record that an operator fails on, or whose result can't be encoded: `fail` (default),
    /// `skip`, or `dead-letter:TOPIC`. What it did before it failed, in stores and outputs, is taken back first; with anything but
    /// `fail` that costs an encoding of each changed value. A panic always stops the application.
    pub failed_records: BadRecords,
    /// `KAPPA_REPLICATION_FACTOR` of the topics kappa creates; unset: the broker's default.
    pub replication_factor: Option<i32>,
    /// `KAPPA_REGISTRY_TOPIC`, default `kappa-registry`.
    pub registry_topic: String,
    /// `KAPPA_HTTP_ADDR`, for example `0.0.0.0:9090`: where `/metrics`, `/livez` and `/readyz` are served. Unset: nowhere.
    pub http_addr: Option<SocketAddr>,
    /// `KAPPA_POLL_RECORDS`, default 10,000: records in one batch.
    pub poll_records: usize,
    /// `KAPPA_BUFFERED_RECORDS`, default 20,000: records of one partition waiting to be processed before its reading pauses
    /// (Kafka Streams: `buffered.records.per.partition`).
    pub buffered_records: usize,
    /// `KAPPA_BUFFERED_BYTES`, default 16 MiB a stream thread: keys and values of all records waiting to be processed, about, at which reading pauses
    /// of the partitions that have more than their share of them.
    pub buffered_bytes: usize,
    /// `KAPPA_FETCH_BYTES`, default 64 MiB a stream thread: records fetched ahead.
    pub fetch_bytes: usize,
    /// `KAPPA_REVOKE_WAIT_MS`, default 5,000: how long tasks that move away may take to commit first.
    pub revoke_wait_ms: i64,
    /// `KAPPA_OFFSET_REFRESH_MS`, default 6 h: idle inputs' offsets are committed again this often, since the broker forgets
    /// offsets of topics the group is not subscribed to (`offsets.retention.minutes`).
    pub offset_refresh_ms: i64,
    /// `KAPPA_REPARTITION_PURGE_INTERVAL_MS`, default 30,000 (Kafka Streams: `repartition.purge.interval.ms`): how often records of
    /// repartition topics that are committed as processed are deleted; without that the topics grow without end. 0: never. Takes the
    /// right to delete records (Kafka's ACL `Delete` on the topic); without it there is a warning each time.
    pub repartition_purge_interval_ms: i64,
    /// Where asynchronous calls run: a pool of threads; tests call in line.
    #[doc(hidden)]
    pub calls: Arc<dyn CallRunner>,
    /// The rules that make results exact; all of them hold.
    #[doc(hidden)]
    pub rules: super::Rules,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            guarantee: Guarantee::ExactlyOnce,
            commit_interval_ms: 100,
            replay_commit_interval_ms: 2_000,
            stream_threads: 1,
            restore_threads: 1,
            state_dir: None,
            instance_id: None,
            session_timeout_ms: 10_000,
            heartbeat_interval_ms: 1_000,
            transaction_timeout_ms: 10_000,
            takeover_after_ms: 1_000,
            cache_bytes: 64 * 1024 * 1024,
            memory_bytes: 256 * 1024 * 1024,
            restoring_bytes: 64 * 1024 * 1024,
            tail_bound: TailBound::default(),
            tails_bytes: 64 * 1024 * 1024,
            state_age_max_ms: 12 * 3_600 * 1_000,
            bad_records: BadRecords::Fail,
            failed_records: BadRecords::Fail,
            replication_factor: None,
            registry_topic: "kappa-registry".into(),
            http_addr: None,
            poll_records: 10_000,
            buffered_records: 20_000,
            buffered_bytes: 16 * 1024 * 1024,
            fetch_bytes: 64 * 1024 * 1024,
            revoke_wait_ms: 5_000,
            offset_refresh_ms: 6 * 3_600 * 1_000,
            repartition_purge_interval_ms: 30_000,
            calls: Arc::new(CallPool),
            rules: super::Rules::default(),
        }
    }
}

impl Settings {
    /// The defaults, changed by the `KAPPA_*` environment variables that are set.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// As [`Settings::from_env`], from any source of variables.
    pub fn from_vars(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut settings = Self::default();
        let read = Reader { variable: &variable };
        if let Some(value) = variable("KAPPA_GUARANTEE") {
            settings.guarantee = match value.as_str() {
                "exactly-once" => Guarantee::ExactlyOnce,
                "at-least-once" => Guarantee::AtLeastOnce,
                _ => return Err(wrong("KAPPA_GUARANTEE", &value, "exactly-once or at-least-once")),
            };
        }
        read.policy("KAPPA_BAD_RECORDS", &mut settings.bad_records)?;
        read.policy("KAPPA_FAILED_RECORDS", &mut settings.failed_records)?;
        read.positive("KAPPA_COMMIT_INTERVAL_MS", &mut settings.commit_interval_ms)?;
        read.value("KAPPA_REPLAY_COMMIT_INTERVAL_MS", &mut settings.replay_commit_interval_ms)?;
        read.positive("KAPPA_THREADS", &mut settings.stream_threads)?;
        read.positive("KAPPA_RESTORE_THREADS", &mut settings.restore_threads)?;
        read.positive("KAPPA_SESSION_TIMEOUT_MS", &mut settings.session_timeout_ms)?;
        read.positive("KAPPA_HEARTBEAT_INTERVAL_MS", &mut settings.heartbeat_interval_ms)?;
        read.positive("KAPPA_TRANSACTION_TIMEOUT_MS", &mut settings.transaction_timeout_ms)?;
        read.positive("KAPPA_TAKEOVER_AFTER_MS", &mut settings.takeover_after_ms)?;
        read.value("KAPPA_CACHE_BYTES", &mut settings.cache_bytes)?;
        read.positive("KAPPA_MEMORY_BYTES", &mut settings.memory_bytes)?;
        read.positive("KAPPA_RESTORING_BYTES", &mut settings.restoring_bytes)?;
        read.positive("KAPPA_TAIL_RECORDS", &mut settings.tail_bound.records)?;
        read.positive("KAPPA_TAIL_BYTES", &mut settings.tail_bound.bytes)?;
        read.positive("KAPPA_TAIL_AGE_MS", &mut settings.tail_bound.age_ms)?;
        read.positive("KAPPA_TAILS_BYTES", &mut settings.tails_bytes)?;
        read.positive("KAPPA_STATE_AGE_MAX_MS", &mut settings.state_age_max_ms)?;
        read.positive("KAPPA_POLL_RECORDS", &mut settings.poll_records)?;
        read.positive("KAPPA_BUFFERED_RECORDS", &mut settings.buffered_records)?;
        read.positive("KAPPA_BUFFERED_BYTES", &mut settings.buffered_bytes)?;
        read.positive("KAPPA_FETCH_BYTES", &mut settings.fetch_bytes)?;
        read.positive("KAPPA_REVOKE_WAIT_MS", &mut settings.revoke_wait_ms)?;
        read.positive("KAPPA_OFFSET_REFRESH_MS", &mut settings.offset_refresh_ms)?;
        read.value("KAPPA_REPARTITION_PURGE_INTERVAL_MS", &mut settings.repartition_purge_interval_ms)?;
        settings.replication_factor = read.optional("KAPPA_REPLICATION_FACTOR")?;
        settings.http_addr = read.optional("KAPPA_HTTP_ADDR")?;
        settings.state_dir = variable("KAPPA_STATE_DIR").map(PathBuf::from);
        settings.instance_id = variable("KAPPA_INSTANCE_ID");
        if let Some(topic) = variable("KAPPA_REGISTRY_TOPIC") {
            settings.registry_topic = topic;
        }
        settings.check()?;
        Ok(settings)
    }

    /// How long transactions last while the version replays; `None` where that is no longer than ever.
    pub fn replay_interval_ms(&self) -> Option<i64> {
        let bound = match self.guarantee {
            Guarantee::ExactlyOnce => self.transaction_timeout_ms / 2,
            Guarantee::AtLeastOnce => i64::MAX,
        };
        Some(self.replay_commit_interval_ms.min(bound)).filter(|interval| *interval > self.commit_interval_ms)
    }

    /// Relations between settings.
    pub fn check(&self) -> Result<(), Error> {
        let rule = |holds: bool, name: &str, reason: &str| match holds {
            true => Ok(()),
            false => Err(Error::Setting { name: name.to_owned(), reason: reason.to_owned() }),
        };
        rule(
            self.guarantee == Guarantee::AtLeastOnce || self.commit_interval_ms < self.transaction_timeout_ms,
            "KAPPA_COMMIT_INTERVAL_MS",
            "must be smaller than KAPPA_TRANSACTION_TIMEOUT_MS, or the broker ends every transaction before its commit",
        )?;
        rule(
            self.heartbeat_interval_ms * 3 <= self.session_timeout_ms,
            "KAPPA_HEARTBEAT_INTERVAL_MS",
            "must be at most a third of KAPPA_SESSION_TIMEOUT_MS, or one lost heartbeat loses the tasks",
        )?;
        rule(
            self.revoke_wait_ms < self.session_timeout_ms,
            "KAPPA_REVOKE_WAIT_MS",
            "must be smaller than KAPPA_SESSION_TIMEOUT_MS",
        )
    }
}

fn wrong(name: &str, value: &str, expected: &str) -> Error {
    Error::Setting { name: name.to_owned(), reason: format!("`{value}` is not {expected}") }
}

struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        match (self.variable)(name) {
            None => Ok(None),
            Some(text) => {
                let kind = std::any::type_name::<T>().rsplit("::").next().unwrap_or("value");
                text.parse().map(Some).map_err(|_| wrong(name, &text, &format!("a valid {kind}")))
            }
        }
    }

    fn policy(&self, name: &str, into: &mut BadRecords) -> Result<(), Error> {
        if let Some(value) = (self.variable)(name) {
            *into = match value.split_once(':') {
                Some(("dead-letter", topic)) if !topic.is_empty() => BadRecords::DeadLetter(topic.to_owned()),
                None if value == "fail" => BadRecords::Fail,
                None if value == "skip" => BadRecords::Skip,
                _ => return Err(wrong(name, &value, "fail, skip or dead-letter:TOPIC")),
            };
        }
        Ok(())
    }

    fn value<T: FromStr>(&self, name: &str, into: &mut T) -> Result<(), Error> {
        if let Some(value) = self.optional(name)? {
            *into = value;
        }
        Ok(())
    }

    fn positive<T: FromStr + PartialOrd + Default>(&self, name: &str, into: &mut T) -> Result<(), Error> {
        self.value(name, into)?;
        match *into > T::default() {
            true => Ok(()),
            false => Err(Error::Setting { name: name.to_owned(), reason: "must be greater than 0".into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::from_vars(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn variables_change_the_defaults() {
        let settings = with(&[
            ("KAPPA_GUARANTEE", "at-least-once"),
            ("KAPPA_COMMIT_INTERVAL_MS", "25"),
            ("KAPPA_BAD_RECORDS", "dead-letter:orders-dead"),
            ("KAPPA_CACHE_BYTES", "0"),
        ])
        .expect("valid");
        assert_eq!(settings.guarantee, Guarantee::AtLeastOnce);
        assert_eq!(settings.commit_interval_ms, 25);
        assert_eq!(settings.bad_records, BadRecords::DeadLetter("orders-dead".into()));
        assert_eq!(settings.cache_bytes, 0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (vars, name) in [
            (vec![("KAPPA_THREADS", "0")], "KAPPA_THREADS"),
            (vec![("KAPPA_THREADS", "two")], "KAPPA_THREADS"),
            (vec![("KAPPA_BAD_RECORDS", "dead-letter:")], "KAPPA_BAD_RECORDS"),
            (vec![("KAPPA_COMMIT_INTERVAL_MS", "20000")], "KAPPA_COMMIT_INTERVAL_MS"),
            (vec![("KAPPA_SESSION_TIMEOUT_MS", "2000")], "KAPPA_HEARTBEAT_INTERVAL_MS"),
        ] {
            let text = with(&vars).expect_err("refused").to_string();
            assert!(text.starts_with(name), "{text}");
        }
    }
}
