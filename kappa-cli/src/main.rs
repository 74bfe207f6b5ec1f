//! The `kappa` binary: connects, runs the command, says what went wrong.

use clap::Parser;
use kappa_cli::{Arguments, Failure, run};
use kappa_core::log::SharedLog;
use std::io::stdout;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = run(&arguments, &|| connect(&arguments), now_ms(), &mut stdout().lock());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if arguments.json => {
            println!("{}", failure.json());
            ExitCode::from(failure.exit as u8)
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(feature = "kafka")]
fn connect(arguments: &Arguments) -> Result<SharedLog, Failure> {
    use kappa_core::log::kafka::{KafkaLog, KafkaSettings};
    let brokers = arguments
        .brokers
        .as_deref()
        .ok_or_else(|| Failure::usage("no brokers given; add --brokers HOST:PORT or set KAPPA_BROKERS"))?;
    let mut settings = KafkaSettings::new(brokers);
    for property in &arguments.properties {
        let (key, value) = property
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--config {property}: write it as KEY=VALUE")))?;
        settings = settings.with(key, value);
    }
    Ok(std::sync::Arc::new(KafkaLog::connect(settings)?))
}

#[cfg(not(feature = "kafka"))]
fn connect(_: &Arguments) -> Result<SharedLog, Failure> {
    Err(Failure::usage(
        "this kappa was built without the cargo feature `kafka` and reaches no broker; build it with its default features",
    ))
}
