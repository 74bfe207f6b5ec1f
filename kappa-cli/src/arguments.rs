//! What can be written on the command line.

use clap::{Parser, Subcommand};
use kappa_core::registry::DEFAULT_REGISTRY;

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  the log failed or can't be reached
  2  wrong usage or setting
  3  refused, nothing was changed: behind, unknown version, nothing to roll back to
  4  another writer was first, nothing was changed here";

/// Versions of kappa applications: which there are, which is live, promote and roll back.
#[derive(Debug, Clone, Parser)]
#[command(name = "kappa", version, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Kafka's addresses, HOST:PORT, several with commas.
    #[arg(long, env = "KAPPA_BROKERS", value_name = "HOST:PORT", global = true)]
    pub brokers: Option<String>,
    /// A librdkafka property, for example security.protocol=SASL_SSL; may be repeated.
    #[arg(long = "config", value_name = "KEY=VALUE", global = true)]
    pub properties: Vec<String>,
    /// The registry's topic.
    #[arg(long, env = "KAPPA_REGISTRY_TOPIC", default_value = DEFAULT_REGISTRY, value_name = "TOPIC", global = true)]
    pub registry: String,
    /// Prints one JSON object, for programs.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Shows apps and versions, which is live, where the views point, and how far each version is behind.
    Status {
        /// Only this app.
        app: Option<String>,
    },
    /// Sends the readers of an app's views to a version, once it has caught up with its inputs.
    Promote {
        /// The app, for example flights.
        app: String,
        /// The version, for example v2.
        version: String,
        /// How long to wait for a version that is nearly there, in seconds.
        #[arg(long, default_value_t = 10, value_name = "SECONDS")]
        wait: u64,
    },
    /// Sends the readers back to where they were before the last promotion.
    Rollback {
        /// The app, for example flights.
        app: String,
    },
}
