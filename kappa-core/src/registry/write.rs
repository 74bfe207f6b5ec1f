//! The one gate through which the registry is written.

use super::record::Bytes;
use super::{Registry, RegistryError, Snapshot};
use crate::log::{Append, AppendBatch, AppendOptions, Headers, LogError, Recovery};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How often a write is tried again after another writer overtook it or the connection was lost.
const ATTEMPTS: u32 = 12;

const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

impl Registry {
    /// Fence, read to the exact end, decide, write, commit. `decide` returns the records to write (none: nothing
    /// to do) and what the caller gets; it may run several times, each time on a later state, and must recognise
    /// its own earlier write, which may have been committed without the answer having come back.
    pub(super) fn write<T>(
        &mut self,
        now_ms: i64,
        mut decide: impl FnMut(&Snapshot) -> Result<(Vec<Bytes>, T), RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(now_ms, &mut decide) {
                Err(RegistryError::Log(error)) => error,
                done => return done,
            };
            let again =
                matches!(error.recovery(), Recovery::Retry | Recovery::AbortTransaction | Recovery::ReplaceClient);
            if !again {
                return Err(error.into());
            }
            if attempt == ATTEMPTS {
                let topic = self.settings.topic.clone();
                return Err(RegistryError::Contended { topic, attempts: attempt, last: error });
            }
            tracing::debug!(%error, attempt, "registry write overtaken or cut off; trying again");
            std::thread::sleep(pause(&self.settings.writer, attempt));
            attempt += 1;
        }
    }

    fn attempt<T>(
        &mut self,
        now_ms: i64,
        decide: &mut impl FnMut(&Snapshot) -> Result<(Vec<Bytes>, T), RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut append = self.log.append(AppendOptions {
            client_id: format!("{}-writer", self.settings.topic),
            transactional_id: Some(format!("{}-writer", self.settings.topic)),
            transaction_timeout: Duration::from_secs(10),
            linger: Duration::ZERO,
            buffer_bytes: 1 << 20,
        })?;
        let done = self.write_fenced(append.as_mut(), now_ms, decide);
        if let Err(error) = append.close(CLOSE_DEADLINE) {
            tracing::debug!(%error, "closing the registry's writer");
        }
        done
    }

    fn write_fenced<T>(
        &mut self,
        append: &mut dyn Append,
        now_ms: i64,
        decide: &mut impl FnMut(&Snapshot) -> Result<(Vec<Bytes>, T), RegistryError>,
    ) -> Result<T, RegistryError> {
        let deadline = self.settings.deadline;
        append.init(deadline)?;
        let snapshot = self.reader.read_to_exact_end(deadline)?;
        let (records, result) = decide(&snapshot)?;
        if records.is_empty() {
            return Ok(result);
        }
        let written = commit(append, &self.settings.topic, now_ms, &records)?;
        self.reader.read_to_offset(written, deadline)?;
        Ok(result)
    }
}

/// Writes the records in one transaction; returns one past the offset of the last.
fn commit(append: &mut dyn Append, topic: &str, now_ms: i64, records: &[Bytes]) -> Result<i64, LogError> {
    let topic = append.topic(topic, true)?;
    let mut batch = AppendBatch::default();
    for (key, value) in records {
        batch.push(topic, 0, now_ms, Some(key), Some(value), Headers::empty());
    }
    append.begin()?;
    append.append(&batch)?;
    let positions = append.commit()?;
    Ok(positions.iter().map(|position| position.next_offset).max().unwrap_or(0))
}

/// Grows with the attempts and differs between writers, so that two of them don't fence each other for ever.
fn pause(writer: &str, attempt: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (writer, attempt).hash(&mut hasher);
    let limit_ms = 10u64 << attempt.min(7);
    Duration::from_millis(limit_ms / 4 + hasher.finish() % limit_ms)
}
