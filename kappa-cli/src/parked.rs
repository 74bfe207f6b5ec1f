//! `kappa parked`: lists the keys that a version has parked, releases them and throws records away.

use crate::arguments::ParkedArguments;
use crate::text::number;
use crate::{Arguments, Exit, Failure};
use kappa_core::app::{AppName, ApplicationId, Version};
use kappa_core::log::SharedLog;
use kappa_core::parking::{ParkedKey, ParkingCommand, read_parked, send_commands};
use kappa_core::registry::{Manifest, RegistryError, RegistryReader};
use kappa_core::topology::{TopicRef, parking_control, parking_store};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);

/// What is parked in one sub-topology, and where commands for it go.
struct Stage {
    control: String,
    keys: Vec<ParkedKey>,
}

pub(crate) fn parked(
    arguments: &Arguments,
    log: &SharedLog,
    wanted: &ParkedArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let app = AppName::new(&wanted.app).map_err(RegistryError::Name)?;
    let version: Version = wanted.version.parse().map_err(RegistryError::Name)?;
    let id = ApplicationId::new(app, version);
    let reader = RegistryReader::open(log, &arguments.registry, DEADLINE)?;
    let snapshot = reader.snapshot();
    reader.close(DEADLINE)?;
    let stages = stages(log, &snapshot.version(&id)?.manifest, wanted)?;
    let commands = commands(&stages, wanted)?;
    for (control, commands) in &commands {
        send_commands(log, control, commands, DEADLINE)?;
    }
    let keys: Vec<&ParkedKey> = stages.iter().flat_map(|stage| &stage.keys).collect();
    let sent: Vec<&(i32, ParkingCommand)> = commands.values().flatten().collect();
    if arguments.json {
        let commands =
            sent.iter().map(|(partition, command)| serde_json::json!({ "partition": partition, "command": command }));
        let answer = serde_json::json!({ "id": id, "parked": keys, "sent": commands.collect::<Vec<_>>() });
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    if !wanted.asks() {
        return list(&id, &keys, out);
    }
    for (partition, command) in &sent {
        match command {
            ParkingCommand::Release { topic, key } => writeln!(out, "release of {key} of {topic}-{partition}")?,
            ParkingCommand::ReleaseAll {} => writeln!(out, "release of all keys of partition {partition}")?,
            ParkingCommand::DiscardFirst { topic, key } => {
                writeln!(out, "the first record of {key} of {topic}-{partition} is thrown away")?;
            }
            ParkingCommand::DiscardKey { topic, key } => {
                writeln!(out, "all parked records of {key} of {topic}-{partition} are thrown away")?;
            }
        }
    }
    match sent.is_empty() {
        true => writeln!(out, "nothing is parked in {id}")?,
        false => writeln!(out, "{id} has been told; `kappa parked {} {}` shows what stays", id.app(), id.version())?,
    }
    Ok(())
}

/// Everything that is parked, by sub-topology.
fn stages(log: &SharedLog, manifest: &Manifest, wanted: &ParkedArguments) -> Result<Vec<Stage>, Failure> {
    let id = &manifest.id;
    let mut stages = Vec::new();
    for stage in &manifest.stages {
        let store = parking_store(&stage.name);
        if !stage.stores.contains(&store) {
            continue;
        }
        let topic = id.topic(&TopicRef::Changelog(store));
        let mut keys = read_parked(log, &topic, manifest.partitions_of(&topic), DEADLINE)?;
        keys.retain(|parked| wanted.topic.as_ref().is_none_or(|topic| *topic == parked.topic));
        stages.push(Stage { control: id.topic(&parking_control(&stage.name)), keys });
    }
    if stages.is_empty() {
        let message = format!("{id} parks nothing: its topology does not ask for it with park_failed_keys()");
        return Err(Failure { exit: Exit::Refused, kind: "does_not_park", message });
    }
    Ok(stages)
}

/// Makes a command of a topic and a key.
type OfKey = fn(String, Vec<u8>) -> ParkingCommand;

/// What is asked for, by control topic, each command with its partition.
fn commands(
    stages: &[Stage],
    wanted: &ParkedArguments,
) -> Result<BTreeMap<String, Vec<(i32, ParkingCommand)>>, Failure> {
    let mut commands: BTreeMap<String, Vec<(i32, ParkingCommand)>> = BTreeMap::new();
    let asked: [(&[String], OfKey); 3] = [
        (&wanted.discard_first, ParkingCommand::discard_first),
        (&wanted.discard_key, ParkingCommand::discard_key),
        (&wanted.release, ParkingCommand::release),
    ];
    for (keys, command) in asked {
        for key in keys {
            let (control, parked) = find(stages, key)?;
            let command = command(parked.topic.clone(), parked.key.0.clone());
            commands.entry(control.to_owned()).or_default().push((parked.partition, command));
        }
    }
    if wanted.release_all {
        for Stage { control, keys } in stages {
            if wanted.topic.is_some() {
                let release = |parked: &ParkedKey| {
                    (parked.partition, ParkingCommand::release(&*parked.topic, parked.key.0.clone()))
                };
                commands.entry(control.clone()).or_default().extend(keys.iter().map(release));
                continue;
            }
            let partitions: BTreeSet<i32> = keys.iter().map(|parked| parked.partition).collect();
            let all = partitions.into_iter().map(|partition| (partition, ParkingCommand::release_all()));
            commands.entry(control.clone()).or_default().extend(all);
        }
    }
    Ok(commands)
}

/// The parked key that is shown like this.
fn find<'s>(stages: &'s [Stage], key: &str) -> Result<(&'s str, &'s ParkedKey), Failure> {
    let all = stages.iter().flat_map(|stage| stage.keys.iter().map(move |parked| (stage.control.as_str(), parked)));
    let found: Vec<_> = all.filter(|(_, parked)| parked.key.to_string() == key).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let message = format!("no key {key} is parked; `kappa parked` lists those that are");
            Err(Failure { exit: Exit::Refused, kind: "not_parked", message })
        }
        several => {
            let topics: Vec<&str> = several.iter().map(|(_, parked)| parked.topic.as_str()).collect();
            Err(Failure::usage(format!("{key} is parked in {}: say which with --topic", topics.join(", "))))
        }
    }
}

fn list(id: &ApplicationId, keys: &[&ParkedKey], out: &mut dyn Write) -> Result<(), Failure> {
    if keys.is_empty() {
        writeln!(out, "nothing is parked in {id}")?;
        return Ok(());
    }
    let records: u64 = keys.iter().map(|parked| parked.records).sum();
    let (count, records) = (number(keys.len() as u64), number(records));
    writeln!(out, "{id}: parked keys {count}, records {records}\n")?;
    let row = |parked: &&ParkedKey| {
        let operator = if parked.operator.is_empty() { "-" } else { &parked.operator };
        let (records, offset) = (number(parked.records), parked.offset.to_string());
        let key = parked.key.to_string();
        [
            parked.topic.clone(),
            parked.partition.to_string(),
            key,
            records,
            offset,
            operator.to_owned(),
            parked.reason.clone(),
        ]
    };
    let head = ["topic", "partition", "key", "records", "first offset", "operator", "reason"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(keys.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    for [topic, partition, key, records, offset, operator, reason] in &rows {
        let [a, b, c, d, e, f, _] = widths[..] else { continue };
        writeln!(out, "{topic:a$}  {partition:>b$}  {key:c$}  {records:>d$}  {offset:>e$}  {operator:f$}  {reason}")?;
    }
    Ok(())
}
