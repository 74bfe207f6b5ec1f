//! Parked records as a test sees and releases them.

use super::stored::Stored;
use super::world::{Logged, World};
use super::{TestDriver, TestError};
use crate::log::Headers;
use crate::parking::{ParkedKey, ParkingCommand, parked_keys};
use crate::topology::{TopicRef, display, parking_control, parking_store};
use std::collections::BTreeMap;

impl TestDriver {
    /// The keys that are parked, as of the last commit: by sub-topology, partition, topic and key.
    pub fn parked(&self) -> Result<Vec<ParkedKey>, TestError> {
        let world = self.world.borrow();
        let mut parked = Vec::new();
        for sub in &world.topology.plan().sub_topologies {
            parked.extend(world.parked_in(&sub.name)?);
        }
        Ok(parked)
    }

    /// Releases a parked key. `topic` is its source as the topology names it, `<name>-repartition` for a repartition topic.
    pub fn release(&self, topic: &str, key: impl AsRef<[u8]>) -> Result<(), TestError> {
        self.command_for(topic, key.as_ref(), ParkingCommand::release(topic, key.as_ref()))
    }

    /// Releases all keys that are parked.
    pub fn release_all(&self) -> Result<(), TestError> {
        let mut world = self.world.borrow_mut();
        for sub in world.topology.plan().sub_topologies.clone() {
            let mut partitions: Vec<i32> = world.parked_in(&sub.name)?.iter().map(|parked| parked.partition).collect();
            partitions.dedup();
            partitions.iter().try_for_each(|at| world.command(&sub.name, *at, &ParkingCommand::release_all()))?;
        }
        Ok(())
    }

    /// Throws the first parked record of a key away.
    pub fn discard_first(&self, topic: &str, key: impl AsRef<[u8]>) -> Result<(), TestError> {
        self.command_for(topic, key.as_ref(), ParkingCommand::discard_first(topic, key.as_ref()))
    }

    /// Throws all parked records of a key away.
    pub fn discard_key(&self, topic: &str, key: impl AsRef<[u8]>) -> Result<(), TestError> {
        self.command_for(topic, key.as_ref(), ParkingCommand::discard_key(topic, key.as_ref()))
    }

    /// Writes any bytes to the control topic of a sub-topology, to see what becomes of bad ones.
    pub fn command_bytes(&self, sub_topology: &str, partition: i32, value: Option<&[u8]>) -> Result<(), TestError> {
        self.world.borrow_mut().command_bytes(sub_topology, partition, value.map(<[u8]>::to_vec))
    }

    /// Sends a command to where the key is parked.
    fn command_for(&self, topic: &str, key: &[u8], command: ParkingCommand) -> Result<(), TestError> {
        let mut world = self.world.borrow_mut();
        let mut has = Vec::new();
        for sub in world.topology.plan().sub_topologies.clone() {
            for parked in world.parked_in(&sub.name)? {
                if parked.topic == topic && parked.key.0 == key {
                    return world.command(&sub.name, parked.partition, &command);
                }
                has.push(format!("{} {}", parked.topic, parked.key));
            }
        }
        let name = format!("{topic} {}", String::from_utf8_lossy(key));
        Err(TestError::Unknown { what: "parked key", name, has: has.join(", ") })
    }
}

impl World {
    fn parked_in(&self, sub_topology: &str) -> Result<Vec<ParkedKey>, TestError> {
        let store = parking_store(sub_topology);
        let mut parked = Vec::new();
        for log in self.changelogs.get(&store).into_iter().flat_map(BTreeMap::values) {
            let latest: BTreeMap<&[u8], &Logged> = log.iter().map(|row| (&*row.key, row)).collect();
            let rows = latest.iter().filter_map(|(key, row)| Some((*key, row.value.as_deref()?)));
            parked.extend(parked_keys(rows).map_err(|error| TestError::codec(&store, error))?);
        }
        Ok(parked)
    }

    fn command(&mut self, sub_topology: &str, partition: i32, command: &ParkingCommand) -> Result<(), TestError> {
        self.command_bytes(sub_topology, partition, Some(command.to_bytes()))
    }

    fn command_bytes(&mut self, sub_topology: &str, partition: i32, value: Option<Vec<u8>>) -> Result<(), TestError> {
        let topic = parking_control(sub_topology);
        self.reads(&topic)?;
        let (timestamp_ms, headers, step) = (0, Headers::empty(), self.step);
        self.pipe(&topic, Stored { partition, timestamp_ms, key: None, value, headers, step, sequence: 0 })?;
        self.work_on_commands()
    }

    /// The topic that a recorded step was about.
    pub(super) fn input_named(&self, name: &str) -> TopicRef {
        let sources = || self.topology.plan().sub_topologies.iter().flat_map(|sub| &sub.sources);
        let control =
            sources().find(|source| matches!(source.topic, TopicRef::Control(_)) && display(&source.topic) == name);
        control.map_or_else(|| TopicRef::External(name.to_owned()), |source| source.topic.clone())
    }

    /// Lets tasks work on parking commands until none waits.
    fn work_on_commands(&mut self) -> Result<(), TestError> {
        for index in 0..self.tasks.len() {
            while self.tasks[index].processor.parks() && self.advance_task(index)? {
                self.after(index)?;
            }
        }
        self.drain()
    }
}
