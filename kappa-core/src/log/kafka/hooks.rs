//! librdkafka's log lines and client-wide errors, passed on to `tracing`.
//!
//! **Invariants:** of each facility at most one line in [`QUIET`] is passed on above debug level, with the
//! number of those held back: a broker that is down fails to connect several times a second.

use super::classify::is_refused_client;
use super::sys::{Code, EventKind, Hooks, Queue};
use crate::log::LogError;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a refusal explains calls without an answer: as long as such a call takes, and a second one that waited for it.
const REFUSAL: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_secs(10);

/// Facilities are a few fixed words of librdkafka's; this many are told apart.
const MAX_FACILITIES: usize = 64;

/// Kept for a reader that asks; librdkafka tells each again at its next look at the cluster.
const MAX_PARTITION_ERRORS: usize = 16_384;

/// The hooks of one client.
#[derive(Debug)]
pub(super) struct ClientHooks {
    client_id: String,
    lines: Mutex<BTreeMap<String, Line>>,
    refused: Mutex<Option<(Instant, String)>>,
    partitions: Mutex<Vec<PartitionError>>,
}

/// An error of one partition that librdkafka tells as one of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionError {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) code: Code,
    pub(super) text: String,
}

impl PartitionError {
    /// librdkafka writes `topic [partition]: reason`; a topic's name holds neither blank nor bracket.
    fn parse(code: Code, text: &str) -> Option<Self> {
        let (topic, rest) = text.split_once(" [")?;
        let (partition, _) = rest.split_once("]: ")?;
        let partition = partition.parse().ok()?;
        (!topic.contains(' ')).then(|| Self { topic: topic.into(), partition, code, text: text.into() })
    }
}

#[derive(Debug)]
struct Line {
    last: Instant,
    held_back: u64,
}

impl ClientHooks {
    pub(super) fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.into(),
            lines: Mutex::new(BTreeMap::new()),
            refused: Mutex::new(None),
            partitions: Mutex::default(),
        }
    }

    /// Takes in the client-wide errors that came on a queue which nobody waits on. They come as events there, and never as a call
    /// of [`Hooks::error`].
    pub(super) fn take_errors(&self, queue: &Queue) {
        while let Some(event) = queue.poll(Duration::ZERO) {
            if event.kind() == EventKind::Error {
                self.error(event.code(), &event.text());
            }
        }
    }

    /// Why the brokers last refused this client altogether, if they have since this was last asked.
    pub(super) fn refusal(&self, operation: &'static str) -> Option<LogError> {
        let (_, reason) = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(LogError::Unauthorized { operation, reason })
    }

    /// The partitions' errors since this was last asked.
    pub(super) fn partition_errors(&self) -> Vec<PartitionError> {
        std::mem::take(&mut *self.partitions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A call without an answer, explained by a refusal where there was one while it ran. Several may wait on one client, and
    /// librdkafka tells a refusal once.
    pub(super) fn explain(&self, operation: &'static str, error: LogError) -> LogError {
        if !matches!(error, LogError::Timeout { .. } | LogError::Unavailable { .. }) {
            return error;
        }
        match &*self.refused.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((at, reason)) if at.elapsed() < REFUSAL => {
                LogError::Unauthorized { operation, reason: reason.clone() }
            }
            _ => error,
        }
    }

    /// How many were held back before this one, or `None` when this one is held back too.
    fn admit(&self, facility: &str, now: Instant) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(facility) {
            if now.duration_since(line.last) < QUIET {
                line.held_back += 1;
                return None;
            }
            line.last = now;
            return Some(std::mem::take(&mut line.held_back));
        }
        if lines.len() < MAX_FACILITIES {
            lines.insert(facility.into(), Line { last: now, held_back: 0 });
        }
        Some(0)
    }
}

impl Hooks for ClientHooks {
    fn log(&self, level: i32, facility: &str, text: &str) {
        let client = &self.client_id;
        // Warnings that a property is another kind of client's: the user's properties go to both kinds.
        let level = if facility == "CONFWARN" { 7 } else { level };
        if level >= 7 {
            tracing::debug!(client, facility, "{text}");
            return;
        }
        let Some(held_back) = self.admit(facility, Instant::now()) else {
            tracing::debug!(client, facility, "{text}");
            return;
        };
        match level {
            // Connection trouble is logged as an error by librdkafka, which goes on by itself.
            0..=2 => tracing::error!(client, facility, held_back, "{text}"),
            3 | 4 => tracing::warn!(client, facility, held_back, "{text}"),
            _ => tracing::info!(client, facility, held_back, "{text}"),
        }
    }

    fn error(&self, code: Code, text: &str) {
        let facility = code.name();
        if is_refused_client(code) {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = Some((Instant::now(), format!("{facility}: {text}")));
        }
        if let Some(error) = PartitionError::parse(code, text) {
            let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
            if partitions.len() < MAX_PARTITION_ERRORS {
                partitions.push(error);
            }
        }
        match self.admit(&facility, Instant::now()) {
            Some(held_back) => tracing::warn!(client = self.client_id, code = facility, held_back, "{text}"),
            None => tracing::debug!(client = self.client_id, code = facility, "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_partition_is_told_apart() {
        let code = Code::UNKNOWN_TOPIC_OR_PARTITION;
        let seen = PartitionError::parse(code, "or-ders.x [7]: topic does not exist (Broker: Unknown topic)");
        assert_eq!(seen.map(|error| (error.topic, error.partition)), Some(("or-ders.x".into(), 7)));
        assert_eq!(PartitionError::parse(code, "127.0.0.1:1/bootstrap: Connect to [::1]: refused"), None);
    }

    #[test]
    fn a_refusal_explains_every_call_that_waited() {
        let hooks = ClientHooks::new("test");
        let timeout = || LogError::Timeout { operation: "ask", deadline: Duration::from_secs(30) };
        assert!(matches!(hooks.explain("ask", timeout()), LogError::Timeout { .. }));
        hooks.error(Code::SASL_AUTHENTICATION_FAILED, "wrong password");
        for _ in 0..2 {
            assert!(matches!(hooks.explain("ask", timeout()), LogError::Unauthorized { .. }));
        }
    }

    #[test]
    fn a_repeated_line_is_held_back_and_counted() {
        let hooks = ClientHooks::new("test");
        let start = Instant::now();
        assert_eq!(hooks.admit("FAIL", start), Some(0));
        for _ in 0..1000 {
            assert_eq!(hooks.admit("FAIL", start + Duration::from_secs(9)), None);
        }
        assert_eq!(hooks.admit("OTHER", start + Duration::from_secs(9)), Some(0));
        assert_eq!(hooks.admit("FAIL", start + Duration::from_secs(10)), Some(1000));
        assert_eq!(hooks.admit("FAIL", start + Duration::from_secs(20)), Some(0));
    }
}
