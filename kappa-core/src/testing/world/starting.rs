//! Making tasks: at the start, after a restart or a move, behind what changelogs hold.

use super::{Logged, Task, World};
use crate::runtime::BadRecords;
use crate::task::{InlineCalls, Output, OutputTopic, TaskScope};
use crate::testing::{ChangelogRecord, TestError};
use kappa_state::{MemoryBackend, TailBound};
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    /// Makes a task over the stores in `state`, brought up to date from their changelogs.
    pub(super) fn start(
        &self,
        sub_topology: usize,
        partition: i32,
        state: MemoryBackend,
        topics: Vec<OutputTopic>,
        times: &[i64],
    ) -> Result<Task, TestError> {
        let plan = self.topology.plan().sub_topologies[sub_topology].clone();
        let name = format!("{}-{partition}", plan.name);
        let scope = TaskScope {
            calls: Arc::new(InlineCalls::default()),
            undo_records: self.options.failed_records != BadRecords::Fail,
            globals: self.globals.clone(),
            name: &name,
            partition,
            state: &state,
            tail_bound: TailBound::default(),
            cache_bytes_per_store: self.options.cache_bytes,
        };
        let mut processor = self.topology.instantiate(sub_topology, &scope)?;
        for (index, store) in plan.stores.iter().enumerate() {
            let log = self.changelogs.get(&store.name).and_then(|logs| logs.get(&partition));
            let log = log.map_or(&[][..], Vec::as_slice);
            let managed = processor.store(index);
            let mark = managed.mark().unwrap_or_default();
            let missing = log.get(mark.changelog_offset as usize..).unwrap_or_default();
            let mut records = missing.iter().map(|row| (&*row.key, row.value.as_deref(), row.timestamp_ms));
            managed.restore(&mut records, log.len() as i64)?;
            managed.restored(log.len() as i64, &mark.operator_time)?;
        }
        if !times.is_empty() {
            processor.restore_times(times);
        }
        let mut out = Output::new(topics.clone(), partition);
        processor.advance(self.now_ms, &mut out).map_err(|source| TestError::Clock { task: name.clone(), source })?;
        let (times, inputs) = (processor.times(), Vec::new());
        Ok(Task { name, sub_topology, plan, partition, topics, state, processor, out, times, inputs })
    }

    /// Stops tasks cleanly and makes them anew: on the state they have, or on none.
    pub(in crate::testing) fn restart(
        &mut self,
        which: impl Fn(&str) -> bool,
        keeps_state: bool,
    ) -> Result<usize, TestError> {
        self.step += 1;
        self.commit_all()?;
        self.start_anew(which, keeps_state)
    }

    pub(super) fn start_anew(&mut self, which: impl Fn(&str) -> bool, keeps_state: bool) -> Result<usize, TestError> {
        let mut count = 0;
        for index in 0..self.tasks.len() {
            if !which(&self.tasks[index].name) {
                continue;
            }
            let mut old = self.tasks.remove(index);
            (0..old.processor.store_count())
                .try_for_each(|store| old.processor.store(store).flush(self.now_ms, true))?;
            let Task { sub_topology, partition, topics, state, processor, times, .. } = old;
            // Its stores are closed before they are opened again.
            drop(processor);
            let state = if keeps_state { state } else { MemoryBackend::new() };
            let task = self.start(sub_topology, partition, state, topics, &times)?;
            self.tasks.insert(index, task);
            count += 1;
        }
        Ok(count)
    }

    /// Puts records behind the stores' changelogs, and makes all tasks anew.
    pub(in crate::testing) fn load(
        &mut self,
        changelogs: impl IntoIterator<Item = (String, i32, Vec<ChangelogRecord>)>,
        times_ms: &BTreeMap<String, Vec<i64>>,
    ) -> Result<(), TestError> {
        for (store, partition, records) in changelogs {
            let Some(logs) = self.changelogs.get_mut(&store) else {
                let has: Vec<&str> = self.changelogs.keys().map(String::as_str).collect();
                return Err(TestError::Unknown { what: "store", name: store, has: has.join(", ") });
            };
            let logged = |(key, value, timestamp_ms)| Logged { key, value, timestamp_ms };
            logs.entry(partition).or_default().extend(records.into_iter().map(logged));
        }
        self.commit_all()?;
        for task in &mut self.tasks {
            if let Some(times_ms) = times_ms.get(&task.name) {
                task.times.clone_from(times_ms);
            }
        }
        self.start_anew(|_| true, false).map(drop)
    }
}
