//! What is run: a name, a version, a program.

use super::{AppName, ApplicationId, NameError, TOPIC_NAME_LENGTH_MAX, Version, check_name};
use crate::task::Program;
use crate::topology::TopologyPlan;
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
    ///
    /// Refuses names that would not be legal for every topic, group and client that is named after them.
    pub fn new(name: &str, version: Version, program: impl Program + 'static) -> Result<Self, NameError> {
        let id = ApplicationId::new(AppName::new(name)?, version);
        check_derived(&id, program.plan())?;
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

/// Checks the name of every topic of a plan under an id.
fn check_derived(id: &ApplicationId, plan: &TopologyPlan) -> Result<(), NameError> {
    check_name("task topic", &id.task_topic(), TOPIC_NAME_LENGTH_MAX)?;
    for sub in &plan.sub_topologies {
        let topics = sub.sources.iter().map(|source| &source.topic).chain(&sub.outputs);
        for topic in topics {
            check_name("topic", &id.topic(topic), TOPIC_NAME_LENGTH_MAX)?;
        }
    }
    plan.views.iter().try_for_each(|view| check_name("view topic", &id.view(view), TOPIC_NAME_LENGTH_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{SubTopologyPlan, TopicRef};

    fn plan(output: TopicRef) -> TopologyPlan {
        let sub = SubTopologyPlan {
            name: "sub".into(),
            sources: vec![],
            outputs: vec![output],
            stores: vec![],
            copartitioned: vec![],
        };
        TopologyPlan { sub_topologies: vec![sub], views: vec![], globals: vec![], fingerprint: String::new() }
    }

    #[test]
    fn every_derived_name_is_checked() {
        let id: ApplicationId = "flights-v1".parse().unwrap();
        // `flights-v1-` and `-changelog` leave 228 of 249 characters.
        assert_eq!(check_derived(&id, &plan(TopicRef::Changelog("s".repeat(228)))), Ok(()));
        let error = check_derived(&id, &plan(TopicRef::Changelog("s".repeat(229)))).unwrap_err();
        assert!(matches!(error, NameError::Length { length: 250, .. }), "{error}");
        let error = check_derived(&id, &plan(TopicRef::Repartition("by origin".into()))).unwrap_err();
        assert!(matches!(error, NameError::Character { character: ' ', .. }), "{error}");
        let error = check_derived(&id, &plan(TopicRef::External("über".into()))).unwrap_err();
        assert!(matches!(error, NameError::Character { character: 'ü', .. }), "{error}");
    }
}
