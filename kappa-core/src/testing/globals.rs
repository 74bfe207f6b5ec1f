//! Global tables and stores in a test: there is one process, which has all rows.

use super::TestError;
use super::stored::Stored;
use super::world::World;
use crate::runtime::BadRecords;
use crate::task::{ProcessError, Program as _, Rows};
use crate::topology::TopicRef;
use kappa_state::Direction;
use std::ops::Bound;

impl World {
    /// Takes a record into the global tables of its topic, or leaves it out as the options say.
    pub(super) fn pipe_global(&mut self, topic: &TopicRef, record: &Stored) -> Result<(), TestError> {
        let TopicRef::External(name) = topic else { return Ok(()) };
        let globals = &self.topology.plan().globals;
        let Some(index) = globals.iter().position(|global| global.topic == *name) else { return Ok(()) };
        let end = self.global_ends.entry((name.clone(), record.partition)).or_default();
        let offset = *end;
        *end += 1;
        let Err(error) = self.take_global(index, offset, record) else { return Ok(()) };
        let counted = match &error {
            ProcessError::Undecodable { .. } if self.options.bad_records != BadRecords::Fail => "bad_record",
            ProcessError::Operator { .. } if self.options.failed_records != BadRecords::Fail => "failed_record",
            _ => {
                let (topic, partition) = (name.clone(), record.partition);
                return Err(TestError::Process { topic, partition, offset, source: error });
            }
        };
        *self.dropped.entry(counted).or_default() += 1;
        Ok(())
    }

    /// The rows of a global table or store.
    pub(super) fn rows_of_global(&self, store: &str) -> Result<Option<Rows>, TestError> {
        let place = self.topology.plan().globals.iter().position(|global| global.name == store);
        let Some(table) = place.and_then(|place| self.globals.table(place)) else { return Ok(None) };
        Ok(Some(table.range(Bound::Unbounded, Bound::Unbounded, Direction::Forward)?))
    }

    fn take_global(&mut self, index: usize, offset: i64, record: &Stored) -> Result<(), ProcessError> {
        let Some(table) = self.globals.table(index) else { return Ok(()) };
        if self.topology.plan().globals[index].has_update {
            return self.topology.update_global(index, &record.as_source(offset), record.partition, table);
        }
        let Some(key) = &record.key else {
            *self.dropped.entry("null-key").or_default() += 1;
            return Ok(());
        };
        self.topology.check_global(index, key, record.value.as_deref())?;
        Ok(table.apply([(key.as_slice(), record.value.as_deref(), record.timestamp_ms)])?)
    }
}
