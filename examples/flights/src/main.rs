//! Real flights, a mistake in the code, and a replay: the first look at kappa.
//!
//! `flights demo` tells the whole story by itself, in one process on the embedded log, or with `--brokers` on a real
//! Kafka, where it starts `flights app` and `flights reader` as processes of their own.

#![allow(unreachable_pub, reason = "a program has no public interface; pub reads better than pub(crate) in an example")]

mod app;
mod connect;
mod data;
mod demo;
mod load;
mod names;
mod reader;
mod screen;
mod stage;

use clap::{Args, Parser, Subcommand};
use data::DataError;
use kappa_core::app::{App, Version};
use kappa_core::runtime::{Runtime, Settings};
use names::Names;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "flights", version, about = "Real flights, a mistake in the code, and a replay")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells the whole story: v1, its mistake, v2 as a replay, the switch and the way back.
    Demo(demo::Options),
    /// Runs one version of the application until ctrl-C or SIGTERM. Settings are read from KAPPA_*.
    App {
        /// The version: 1 has the mistake, 2 has not.
        #[arg(long)]
        version: Version,
        #[command(flatten)]
        place: Place,
    },
    /// Prints the view, whichever version makes it, until it is stopped.
    Reader {
        #[command(flatten)]
        place: Place,
    },
}

/// Where the topics are.
#[derive(Debug, Args)]
struct Place {
    /// Kafka's addresses.
    #[arg(long, env = "KAPPA_BROKERS", value_name = "HOST:PORT")]
    brokers: String,
    /// What all names begin with.
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(options) => demo::demo(&options),
        Command::App { version, place } => run_app(version, &place),
        Command::Reader { place } => run_reader(&place),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run_app(version: Version, place: &Place) -> Result<(), DataError> {
    log_to_stderr();
    let names = Names::of_run(place.run.as_deref());
    let app =
        App::new(&names.app, version, app::topology(version, &names)?)?.with_code_version(env!("CARGO_PKG_VERSION"));
    let settings = Settings { registry_topic: names.registry, ..Settings::from_env()? };
    Ok(Runtime::new(connect::kafka(&place.brokers)?, settings).run(app).await?)
}

fn run_reader(place: &Place) -> Result<(), DataError> {
    log_to_stderr();
    let names = Names::of_run(place.run.as_deref());
    reader::follow(&connect::kafka(&place.brokers)?, &names, || false, |line| println!("{line}"))
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
