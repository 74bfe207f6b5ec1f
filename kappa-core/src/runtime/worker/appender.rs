//! The worker's appender: made, looked up, made anew.

use super::Worker;
use crate::Error;
use crate::log::{Append, AppendOptions, LogError, Recovery};
use crate::runtime::bad_record::DeadLetters;
use crate::runtime::settings::BadRecords;
use crate::task::OutputTopic;
use crate::topology::ChangelogSource;
use std::collections::BTreeSet;
use std::time::Duration;

/// Pause before a lost appender is tried again.
const APPENDER_RETRY_MS: i64 = 500;
const INIT_DEADLINE: Duration = Duration::from_secs(20);

/// An appender with this application's topics looked up.
#[derive(Debug)]
pub(super) struct Appender {
    pub(super) client: Box<dyn Append>,
    /// For each sub-topology, its outputs.
    pub(super) outputs: Vec<Vec<OutputTopic>>,
    pub(super) dead_letters: DeadLetters,
}

impl Worker {
    pub(super) fn ensure_appender(&mut self, now_ms: i64) -> Result<(), Error> {
        if self.appender.is_some() || now_ms < self.appender_retry_at_ms {
            return Ok(());
        }
        match self.new_appender() {
            Ok(appender) => {
                self.appender = Some(appender);
                Ok(())
            }
            Err(error) => match error.recovery() {
                Recovery::Fatal | Recovery::Configuration | Recovery::Rejoin => Err(error.into()),
                Recovery::Retry | Recovery::AbortTransaction | Recovery::ReplaceClient => {
                    tracing::warn!(%error, "no appender yet, tried again");
                    self.shared.metrics.error(error.kind());
                    self.appender_retry_at_ms = now_ms + APPENDER_RETRY_MS;
                    Ok(())
                }
            },
        }
    }

    pub(super) fn new_appender(&self) -> Result<Appender, LogError> {
        let mut client = self.log.append(AppendOptions {
            client_id: format!("{}-{}", self.layout.application_id, self.index),
            transactional_id: self.transactional_id.clone(),
            transaction_timeout: Duration::from_millis(self.settings.transaction_timeout_ms as u64),
            linger: Duration::from_millis(self.settings.commit_interval_ms.clamp(5, 100) as u64),
            buffer_bytes: 64 * 1024 * 1024,
        })?;
        if self.transactional_id.is_some() {
            client.init(INIT_DEADLINE)?;
        }
        let mut outputs = Vec::new();
        for sub in &self.layout.sub_topologies {
            let own = |(_, changelog): &(String, ChangelogSource)| match changelog {
                ChangelogSource::Own { output } => Some(*output),
                ChangelogSource::Input { .. } | ChangelogSource::None => None,
            };
            let changelogs: BTreeSet<usize> = sub.stores.iter().filter_map(own).collect();
            let mut topics = Vec::new();
            for (at, output) in sub.outputs.iter().enumerate() {
                let handle = client.topic(&output.topic, changelogs.contains(&at))?;
                topics.push(OutputTopic { handle, partitions: output.partitions });
            }
            outputs.push(topics);
        }
        let dead_letters = DeadLetters {
            bad: self.dead_letters(&mut *client, &self.settings.bad_records)?,
            failed: self.dead_letters(&mut *client, &self.settings.failed_records)?,
        };
        Ok(Appender { client, outputs, dead_letters })
    }

    fn dead_letters(&self, client: &mut dyn Append, choice: &BadRecords) -> Result<Option<OutputTopic>, LogError> {
        let BadRecords::DeadLetter(topic) = choice else { return Ok(None) };
        let info = self.log.topics()?.describe(topic)?;
        let info = info.ok_or_else(|| LogError::TopicMissing { topic: topic.clone() })?;
        Ok(Some(OutputTopic { handle: client.topic(topic, false)?, partitions: info.partitions }))
    }
}
