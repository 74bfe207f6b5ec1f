//! What went wrong, as an exit code and as words.

use kappa_core::log::{LogError, Recovery};
use kappa_core::registry::RegistryError;
use std::fmt;

/// How the process ends when it did not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The log failed or can't be reached.
    Failed = 1,
    /// Wrong usage or setting.
    Usage = 2,
    /// What the registry holds does not allow it.
    Refused = 3,
    /// Another writer was first.
    Lost = 4,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// A short stable word.
    pub kind: &'static str,
    /// In words, with the next step.
    pub message: String,
}

impl Failure {
    /// Wrong usage or setting.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, kind: "usage", message: message.into() }
    }

    /// The failure as one JSON object.
    pub fn json(&self) -> String {
        serde_json::json!({ "error": { "kind": self.kind, "message": self.message } }).to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let exit = match &error {
            RegistryError::Log(error) => return Self { message: advised(error), ..Self::from(error.clone()) },
            RegistryError::Name(_) | RegistryError::NotOnePartition { .. } => Exit::Usage,
            RegistryError::Lost { .. } => Exit::Lost,
            error if error.is_refusal() => Exit::Refused,
            _ => Exit::Failed,
        };
        Self { exit, kind: error.kind(), message: error.to_string() }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let exit = if error.recovery() == Recovery::Configuration { Exit::Usage } else { Exit::Failed };
        Self { exit, kind: error.kind(), message: advised(&error) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { exit: Exit::Failed, kind: "output", message: format!("writing the answer: {error}") }
    }
}

fn advised(error: &LogError) -> String {
    match error.recovery() {
        Recovery::Retry => format!("{error}. Check --brokers (KAPPA_BROKERS) and that the cluster is up"),
        _ => error.to_string(),
    }
}
