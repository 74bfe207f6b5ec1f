//! `kappa topology`: shows topologies and compares them.
//!
//! A topology is named as a version (`flights-v2`: the registry keeps what it was when it first started), or as a file that
//! `Topology::description().to_json()` was written to, or as `-` for such text on the standard input.

use crate::{Arguments, Failure, Form};
use kappa_core::app::{ApplicationId, NameError};
use kappa_core::log::SharedLog;
use kappa_core::registry::RegistryReader;
use kappa_core::topology::TopologyDescription;
use std::io::Write;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// Makes the connection where one is needed.
type Connect<'c> = &'c dyn Fn() -> Result<SharedLog, Failure>;

pub(crate) fn show(
    arguments: &Arguments,
    connect: Connect<'_>,
    which: &str,
    form: Form,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let topology = find(arguments, connect, which)?;
    match if arguments.json { Form::Json } else { form } {
        Form::Text => write!(out, "{topology}")?,
        Form::Mermaid => write!(out, "{}", topology.mermaid())?,
        Form::Svg => write!(out, "{}", topology.svg())?,
        Form::Json => write!(out, "{}", topology.to_json())?,
    }
    Ok(())
}

pub(crate) fn diff(
    arguments: &Arguments,
    connect: Connect<'_>,
    (older, newer): (&str, &str),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let diff = find(arguments, connect, older)?.diff(&find(arguments, connect, newer)?);
    match arguments.json {
        true => writeln!(out, "{}", serde_json::json!(diff))?,
        false => write!(out, "{diff}")?,
    }
    Ok(())
}

fn find(arguments: &Arguments, connect: Connect<'_>, which: &str) -> Result<TopologyDescription, Failure> {
    let read = |text: std::io::Result<String>| {
        let text = text.map_err(|error| Failure::usage(format!("{which} can't be read: {error}")))?;
        TopologyDescription::from_json(&text).map_err(|error| {
            Failure::usage(format!("{which} holds no topology: {error}; write Topology::description().to_json() to it"))
        })
    };
    if which == "-" {
        return read(std::io::read_to_string(std::io::stdin()));
    }
    if which.ends_with(".json") || which.contains('/') {
        return read(std::fs::read_to_string(which));
    }
    let id: ApplicationId = which.parse().map_err(|error: NameError| {
        Failure::usage(format!("{which} is neither a version, such as flights-v2, nor a .json file: {error}"))
    })?;
    let reader = RegistryReader::open(&connect()?, &arguments.registry, DEADLINE)?;
    let snapshot = reader.snapshot();
    reader.close(DEADLINE)?;
    let manifest = &snapshot.version(&id)?.manifest;
    manifest.topology.clone().ok_or_else(|| {
        Failure::usage(format!("the registry has no topology of {id}: it was registered by a program that told none"))
    })
}
