//! What can be written on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
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
    /// Shows the keys whose records wait because one has failed; releases them, or throws records away.
    Parked(ParkedArguments),
    /// Shows topologies, and what is different between two.
    #[command(subcommand)]
    Topology(TopologyCommand),
    /// Sends the readers back to where they were before the last promotion.
    Rollback {
        /// The app, for example flights.
        app: String,
    },
}

/// What is parked in a version, and what becomes of it. Keys are written as the list shows them.
#[derive(Debug, Clone, Args)]
pub struct ParkedArguments {
    /// The app, for example flights.
    pub app: String,
    /// The version, for example v2.
    pub version: String,
    /// Only what was parked of this topic, as the list shows it.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Processes a key's parked records in their order; may be repeated.
    #[arg(long, value_name = "KEY")]
    pub release: Vec<String>,
    /// Does so with all keys.
    #[arg(long, conflicts_with = "release")]
    pub release_all: bool,
    /// Throws the first parked record of a key away; may be repeated. With --release the rest is released.
    #[arg(long, value_name = "KEY")]
    pub discard_first: Vec<String>,
    /// Throws all parked records of a key away; may be repeated.
    #[arg(long, value_name = "KEY")]
    pub discard_key: Vec<String>,
}

impl ParkedArguments {
    /// Whether anything is to be done, or only shown.
    pub(crate) fn asks(&self) -> bool {
        self.release_all || !(self.release.is_empty() && self.discard_first.is_empty() && self.discard_key.is_empty())
    }
}

/// What to do with topologies. One is named as a version, such as flights-v2, as a .json file that the program wrote
/// `Topology::description().to_json()` to, or as - for the standard input.
#[derive(Debug, Clone, Subcommand)]
pub enum TopologyCommand {
    /// Shows a topology.
    Show {
        /// A version, a .json file, or -.
        topology: String,
        /// As what.
        #[arg(long, default_value = "text")]
        format: Form,
    },
    /// Says what is different in the newer topology, what that means for state, and whether it needs a new version.
    Diff {
        /// A version, a .json file, or -.
        older: String,
        /// A version, a .json file, or -.
        newer: String,
    },
}

/// A form of a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// That of Kafka Streams' Topology.describe(), for which there are visualisers.
    Text,
    /// A Mermaid flow chart.
    Mermaid,
    /// A picture.
    Svg,
    /// What files hold, for `topology diff`.
    Json,
}
