//! What becomes of a record that can't be used, or whose processing fails.
//!
//! **Invariants:**
//! - A record that is left out has done nothing: what it did before it failed has been taken back, or its transaction is aborted
//!   and it is left out when its turn comes again.
//! - Each one left out is counted and logged, and what is dead-lettered is so in the transaction that passes it.

use super::settings::{BadRecords, Settings};
use crate::Error;
use crate::log::{AppendEntry, Headers, RecordView};
use crate::task::{Output, OutputTopic};

/// The dead-letter topics, as the appender knows them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DeadLetters {
    pub(crate) bad: Option<OutputTopic>,
    pub(crate) failed: Option<OutputTopic>,
}

/// What is done with a kind of records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy<'s> {
    pub(crate) choice: &'s BadRecords,
    pub(crate) dead_letters: Option<OutputTopic>,
    /// The exception in a dead letter's headers.
    pub(crate) exception: &'static str,
}

/// What is done with records that can't be used, and with those that fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policies<'s> {
    pub(crate) bad: Policy<'s>,
    pub(crate) failed: Policy<'s>,
}

impl<'s> Policies<'s> {
    pub(crate) fn new(settings: &'s Settings, topics: DeadLetters) -> Self {
        Self {
            bad: Policy { choice: &settings.bad_records, dead_letters: topics.bad, exception: "kappa.BadRecord" },
            failed: Policy {
                choice: &settings.failed_records,
                dead_letters: topics.failed,
                exception: "kappa.FailedRecord",
            },
        }
    }
}

/// A record that is to be left out, and why.
pub(crate) struct LeftOut<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) view: RecordView<'a>,
    pub(crate) headers: &'a Headers,
    pub(crate) reason: String,
    /// The operator it failed in; empty where it never got to one.
    pub(crate) operator: &'a str,
}

impl LeftOut<'_> {
    /// Leaves the record out as the policy says, or gives the error to stop with.
    pub(crate) fn treat(self, policy: Policy<'_>, out: &mut Output) -> Result<(), Error> {
        let Self { topic, partition, view, operator, .. } = self;
        let (offset, reason) = (view.offset, &self.reason);
        match (policy.choice, policy.dead_letters) {
            (BadRecords::Skip, _) => {
                tracing::warn!(topic, partition, offset, operator, reason, "record skipped");
                Ok(())
            }
            (BadRecords::DeadLetter(to), Some(target)) => {
                tracing::warn!(topic, partition, offset, operator, reason, to, "record sent to the dead-letter topic");
                self.dead_letter(policy.exception, target, out);
                Ok(())
            }
            (BadRecords::Fail | BadRecords::DeadLetter(_), _) if operator.is_empty() => {
                Err(Error::BadRecord { topic: topic.to_owned(), partition, offset, reason: self.reason })
            }
            (BadRecords::Fail | BadRecords::DeadLetter(_), _) => {
                let (topic, operator) = (topic.to_owned(), operator.to_owned());
                Err(Error::Operator { topic, partition, offset, operator, reason: self.reason })
            }
        }
    }

    /// The record as it came, with headers as KIP-1034 names them; the stack trace is the operator's name.
    fn dead_letter(&self, exception: &str, target: OutputTopic, out: &mut Output) {
        let view = self.view;
        let mut headers = self
            .headers
            .with("__streams.errors.exception", Some(exception.as_bytes()))
            .with("__streams.errors.message", Some(self.reason.as_bytes()))
            .with("__streams.errors.topic", Some(self.topic.as_bytes()))
            .with("__streams.errors.partition", Some(self.partition.to_string().as_bytes()))
            .with("__streams.errors.offset", Some(view.offset.to_string().as_bytes()));
        if !self.operator.is_empty() {
            headers = headers.with("__streams.errors.stacktrace", Some(format!("at {}", self.operator).as_bytes()));
        }
        let key = view.key.map(|bytes| out.batch.copy(bytes));
        let value = view.value.map(|bytes| out.batch.copy(bytes));
        let timestamp_ms = view.timestamp_ms.max(0);
        let partition = self.partition.rem_euclid(target.partitions);
        let topic = target.handle;
        out.batch.entries.push(AppendEntry { topic, partition, timestamp_ms, key, value, headers });
    }
}
