//! What can go wrong at the registry.

use crate::app::{AppName, ApplicationId, NameError, Version};
use crate::deploy::Progress;
use crate::log::LogError;
use std::time::Duration;

/// An error of the registry: what was refused or failed, and the next step.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The log failed.
    #[error("registry: {0}")]
    Log(#[from] LogError),
    /// A name can't be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no registry.
    #[error(
        "no registry topic {topic} on {log}: no application has started there yet, or it uses another topic (KAPPA_REGISTRY_TOPIC)"
    )]
    Missing {
        /// The topic looked for.
        topic: String,
        /// The log, in words.
        log: String,
    },
    /// The registry's topic can't be a registry.
    #[error("topic {topic} has {partitions} partitions, a registry has one; name another topic (KAPPA_REGISTRY_TOPIC)")]
    NotOnePartition {
        /// The topic.
        topic: String,
        /// Its partitions.
        partitions: i32,
    },
    /// A record of the registry can't be read.
    #[error("registry topic {topic}, offset {offset}: {reason}")]
    Undecodable {
        /// The topic.
        topic: String,
        /// The record's offset.
        offset: i64,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The same version was registered with another topology.
    #[error(
        "{id} is registered with another topology (fingerprint {registered}, this program's is {offered}); \
         raise the version in App::new and start it beside this one: it replays the log"
    )]
    TopologyChanged {
        /// The version.
        id: ApplicationId,
        /// The registered topology's fingerprint.
        registered: String,
        /// The fingerprint of the one offered.
        offered: String,
    },
    /// Another app writes a view of that name.
    #[error("view {view} belongs to {owner}; views are known to readers by name alone, choose another for {id}")]
    ViewTaken {
        /// The view.
        view: String,
        /// The version that asked for it.
        id: ApplicationId,
        /// The version whose view it is.
        owner: ApplicationId,
    },
    /// No version of the app has ever started.
    #[error("app {app} is not registered{}; start it once, it registers itself", among(.known))]
    UnknownApp {
        /// The app.
        app: AppName,
        /// Apps that are registered.
        known: Vec<AppName>,
    },
    /// That version has never started.
    #[error("{id} is not registered{}; start it once, it registers itself", among(.known))]
    UnknownVersion {
        /// The version.
        id: ApplicationId,
        /// Versions that are registered.
        known: Vec<Version>,
    },
    /// The version's state and outputs have been removed.
    #[error("{id} is retired: its topics and state are gone; deploy the code as a new version")]
    Retired {
        /// The version.
        id: ApplicationId,
    },
    /// The version has not caught up.
    #[error(
        "{} is {progress} (waited {} ms); nothing was changed. Let it run and promote again: \
         `kappa status` shows how far it is", .progress.id, .waited.as_millis()
    )]
    Behind {
        /// How far it is.
        progress: Box<Progress>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// There is no version to go back to.
    #[error("{app} has no version to roll back to{}; promote the version that shall be live", none_before(.live))]
    NothingToRollBackTo {
        /// The app.
        app: AppName,
        /// The version that is live.
        live: Option<Version>,
    },
    /// Another writer was first.
    #[error(
        "another writer was first: {} (revision {revision}, by {by}); nothing was changed here. \
         Look at `kappa status` and decide again", won(.app, .live)
    )]
    Lost {
        /// The app both wanted to change.
        app: AppName,
        /// The version the winner made live.
        live: Option<Version>,
        /// The view map's revision the winner wrote.
        revision: u64,
        /// Who the winner is.
        by: String,
    },
    /// Writers kept taking the registry from one another.
    #[error(
        "registry topic {topic}: {attempts} attempts to write were overtaken by other writers or cut off ({last}); try again"
    )]
    Contended {
        /// The topic.
        topic: String,
        /// How often it was tried.
        attempts: u32,
        /// What ended the last attempt.
        last: LogError,
    },
}

impl RegistryError {
    /// Whether the registry's content forbids what was asked, as opposed to a failure on the way.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Log(_)
                | Self::Name(_)
                | Self::Missing { .. }
                | Self::NotOnePartition { .. }
                | Self::Undecodable { .. }
                | Self::Contended { .. }
        )
    }
}

impl RegistryError {
    /// A short stable word for metrics, logs and programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Log(error) => error.kind(),
            Self::Name(_) => "name",
            Self::Missing { .. } => "registry_missing",
            Self::NotOnePartition { .. } => "registry_partitions",
            Self::Undecodable { .. } => "undecodable",
            Self::TopologyChanged { .. } => "topology_changed",
            Self::ViewTaken { .. } => "view_taken",
            Self::UnknownApp { .. } => "unknown_app",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::Retired { .. } => "retired",
            Self::Behind { .. } => "behind",
            Self::NothingToRollBackTo { .. } => "nothing_to_roll_back_to",
            Self::Lost { .. } => "lost",
            Self::Contended { .. } => "contended",
        }
    }
}

fn among<T: std::fmt::Display>(known: &[T]) -> String {
    if known.is_empty() {
        return String::new();
    }
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    format!(" (registered: {})", known.join(", "))
}

fn none_before(live: &Option<Version>) -> String {
    live.map_or_else(
        || " (none is live)".to_owned(),
        |version| format!(" ({version} is live, none is noted before it)"),
    )
}

fn won(app: &AppName, live: &Option<Version>) -> String {
    live.map_or_else(|| format!("{app} has no live version any more"), |version| format!("{app} {version} is live"))
}
