//! What is run: a name, a version, a program.

use super::{AppName, ApplicationId, NameError, Version};
use crate::task::Program;
use std::sync::Arc;

/// An application in one of its versions (Kafka Streams has no word for it: `application.id` and `Topology` apart).
///
/// Raise the version whenever the topology changes in what it computes: the new version replays the log into
/// outputs of its own, beside the one that is live.
#[derive(Debug, Clone)]
pub struct App {
    id: ApplicationId,
    program: Arc<dyn Program>,
    code_version: String,
}

impl App {
    /// Names an application and its version, and says what it runs.
    pub fn new(name: &str, version: Version, program: impl Program + 'static) -> Result<Self, NameError> {
        let id = ApplicationId::new(AppName::new(name)?, version);
        Ok(Self { id, program: Arc::new(program), code_version: String::new() })
    }

    /// Notes the version of the code (for example `env!("CARGO_PKG_VERSION")` or a commit), for people who look at the registry.
    #[must_use]
    pub fn with_code_version(mut self, code_version: impl Into<String>) -> Self {
        self.code_version = code_version.into();
        self
    }

    /// The application id: everything the version owns is named after it.
    pub fn id(&self) -> &ApplicationId {
        &self.id
    }

    /// What it runs.
    pub fn program(&self) -> &Arc<dyn Program> {
        &self.program
    }

    /// The version of the code, as noted.
    pub fn code_version(&self) -> &str {
        &self.code_version
    }
}
