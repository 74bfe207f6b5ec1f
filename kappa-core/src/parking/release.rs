//! Working on commands, a bounded number of records at a time: the rest is for the next turn, and meanwhile a key whose release is
//! under way is parked still.

use super::ParkingCommand;
use super::format::{parts, prefix};
use super::row::{Cause, Pending, Record};
use super::task::{Failing, ParkingTask};
use crate::log::RecordView;
use crate::task::{Output, ProcessError, SourceRecord};
use kappa_state::StateError;

/// Records that commands may move in one turn of a task, and bytes that may be written before it ends.
const RECORDS_A_TURN: u64 = 1_000;
const BYTES_A_TURN: usize = 4 << 20;

/// What is left of a task's turn.
struct Turn {
    records: u64,
    bytes_max: usize,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.records == 0
    }

    /// A record has been moved.
    fn moved(&mut self, out: &Output) {
        self.records = if out.batch.bytes.len() < self.bytes_max { self.records.saturating_sub(1) } else { 0 };
    }
}

impl ParkingTask {
    /// Does what commands want, as far as one turn goes. Says whether anything was done that a commit must cover.
    pub(super) fn work(&mut self, out: &mut Output) -> Result<bool, ProcessError> {
        let mut turn = Turn { records: RECORDS_A_TURN, bytes_max: out.batch.bytes.len() + BYTES_A_TURN };
        let mut any = false;
        while !turn.is_over() {
            let Some((number, pending)) = self.lot.command()? else { break };
            any = true;
            if self.follow(number, &pending, &mut turn, out)? {
                self.lot.done(number)?;
            }
        }
        Ok(any)
    }

    /// Follows a command; says whether it is done.
    fn follow(
        &mut self,
        number: u64,
        pending: &Pending,
        turn: &mut Turn,
        out: &mut Output,
    ) -> Result<bool, ProcessError> {
        match &pending.command {
            ParkingCommand::Release { topic, key } => self.release(&prefix(topic, &key.0), turn, out),
            ParkingCommand::ReleaseAll {} => {
                let Some(next) = self.lot.next_key(&pending.done_until)? else { return Ok(true) };
                if self.release(&next, turn, out)? {
                    // A key that could not be released counts as well, so that the command comes to an end.
                    turn.moved(out);
                    self.lot.keep(number, Pending { done_until: next, command: pending.command.clone() })?;
                }
                Ok(false)
            }
            ParkingCommand::DiscardFirst { topic, key } => {
                self.discard(&prefix(topic, &key.0))?;
                turn.moved(out);
                Ok(true)
            }
            ParkingCommand::DiscardKey { topic, key } => {
                let prefix = prefix(topic, &key.0);
                while !turn.is_over() {
                    turn.moved(out);
                    if !self.discard(&prefix)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Processes the parked records of a key until one fails or none is left; says whether that is so, or the turn is over.
    fn release(&mut self, prefix: &[u8], turn: &mut Turn, out: &mut Output) -> Result<bool, ProcessError> {
        let Some((topic, key, _)) = parts_of(prefix) else { return Ok(true) };
        let Some(source) = self.parking.sources.iter().position(|source| *source == topic) else { return Ok(true) };
        while let Some(record) = self.lot.first(prefix)? {
            if turn.is_over() {
                return Ok(false);
            }
            let failed = self.process_again(source, &key, &record, out)?;
            turn.moved(out);
            match failed {
                None => {
                    self.lot.remove_first(prefix)?;
                    self.counts.released += 1;
                }
                Some(cause) => {
                    let (partition, offset, Cause { operator, reason }) = (record.partition, record.offset, &cause);
                    tracing::warn!(
                        topic,
                        partition,
                        offset,
                        operator,
                        reason,
                        "released record failed again, it stays parked"
                    );
                    self.lot.fails_again(prefix, cause)?;
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    /// Lets the inner task process a parked record; gives the cause where it has failed and was taken back.
    fn process_again(
        &mut self,
        source: usize,
        key: &[u8],
        record: &Record,
        out: &mut Output,
    ) -> Result<Option<Cause>, ProcessError> {
        let Record { offset, timestamp_ms, ref headers, ref value, .. } = *record;
        if let Some(failing) = self.failing.get_mut(&(source, offset)) {
            failing.met = true;
            return Ok(Some(failing.cause.clone()));
        }
        self.released.insert((source, offset));
        let view = RecordView { offset, timestamp_ms, key: Some(key), value: value.as_deref() };
        let result = self.inner.process(source, &SourceRecord { view, headers: headers.clone() }, out);
        match result.map_err(|error| error.of_record(source, offset)) {
            Ok(()) => Ok(None),
            Err(ProcessError::Undecodable { part, reason }) => {
                Ok(Some(Cause { operator: String::new(), reason: format!("{part} can't be used: {reason}") }))
            }
            Err(ProcessError::Operator { operator, reason }) => {
                let cause = Cause { operator, reason };
                if self.inner.undo(out)? {
                    return Ok(Some(cause));
                }
                let Cause { operator, reason } = cause.clone();
                self.failing.insert((source, offset), Failing { cause, met: false });
                Err(ProcessError::Call { source_index: source, offset, operator, reason })
            }
            Err(error) => self.note(Err(error)),
        }
    }

    /// Throws the first record of a key away; false where the key is not parked.
    fn discard(&mut self, prefix: &[u8]) -> Result<bool, StateError> {
        let Some(record) = self.lot.first(prefix)? else { return Ok(false) };
        let topic = parts_of(prefix).map_or_else(String::new, |(topic, ..)| topic);
        let (partition, offset) = (record.partition, record.offset);
        tracing::warn!(topic, partition, offset, "parked record thrown away by command");
        self.lot.remove_first(prefix)?;
        self.counts.discarded += 1;
        Ok(true)
    }
}

/// Topic and key of what rows begin with.
fn parts_of(prefix: &[u8]) -> Option<(String, Vec<u8>, u64)> {
    let head = super::format::row_key(prefix, 0);
    parts(&head).map(|(topic, key, number)| (topic.to_owned(), key.to_vec(), number))
}
