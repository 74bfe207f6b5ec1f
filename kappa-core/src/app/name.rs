//! The names of an application, and every name that follows from them.
//!
//! **Invariants:**
//! - A value of [`AppName`] or [`ApplicationId`] is legal wherever it goes: topic, group, transactional
//!   id, directory.
//! - No name holds `-v<number>` as a part of its own, so the application id can be read off the front of any
//!   name derived from it, and two application ids never share a derived name.

use crate::topology::TopicRef;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest topic name Kafka takes.
pub const TOPIC_NAME_LENGTH_MAX: usize = 249;

/// The longest name of an app: leaves room in a topic name for version, store and suffix.
pub const APP_NAME_LENGTH_MAX: usize = 100;

/// Why a name can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty, `.` or `..`.
    #[error("{what} {name:?}: give it a name of letters, digits, '.', '_' and '-'")]
    Empty {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A character that Kafka does not take in a name.
    #[error("{what} {name:?}: {character:?} is not allowed; use letters, digits, '.', '_' and '-'")]
    Character {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// The name is too long.
    #[error("{what} {name:?} has {length} characters, at most {length_max} are allowed; shorten it")]
    Length {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
        /// Its length.
        length: usize,
        /// The longest that is allowed.
        length_max: usize,
    },
    /// The name of an app looks like one with a version.
    #[error("app {name:?} holds a version (-v and a number); leave it out, the version is given beside the name")]
    HoldsVersion {
        /// The name.
        name: String,
    },
    /// Not an application id.
    #[error("{name:?} is no application id; write it as app and version, for example flights-v2")]
    NotAnApplicationId {
        /// The text.
        name: String,
    },
    /// Not a version.
    #[error("{text:?} is no version; write it as a number or with a v before it, for example v2")]
    NotAVersion {
        /// The text.
        text: String,
    },
}

/// Checks a name for Kafka's legal characters and a length.
pub fn check_name(what: &'static str, name: &str, length_max: usize) -> Result<(), NameError> {
    if name.is_empty() || name == "." || name == ".." {
        return Err(NameError::Empty { what, name: name.to_owned() });
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(character) = name.chars().find(|c| !legal(*c)) {
        return Err(NameError::Character { what, name: name.to_owned(), character });
    }
    if name.len() > length_max {
        return Err(NameError::Length { what, name: name.to_owned(), length: name.len(), length_max });
    }
    Ok(())
}

/// Whether a name holds `-v<number>`, followed by its end or a `-`.
fn holds_version(name: &str) -> bool {
    name.split('-').skip(1).any(|part| {
        part.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The name of an app, `flights`: the same for all its versions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(Arc<str>);

impl AppName {
    /// A name, checked.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check_name("app", name, APP_NAME_LENGTH_MAX)?;
        if holds_version(name) {
            return Err(NameError::HoldsVersion { name: name.to_owned() });
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for AppName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(&name)
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.as_str().to_owned()
    }
}

/// The version of an app: a number, shown as `v2`. A new version is a replay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("v{}", self.0))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Version {
    type Err = NameError;

    /// Reads `v2` and `2`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.strip_prefix('v').unwrap_or(text);
        let canonical = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let canonical = canonical && (digits == "0" || !digits.starts_with('0'));
        match digits.parse() {
            Ok(number) if canonical => Ok(Self(number)),
            _ => Err(NameError::NotAVersion { text: text.to_owned() }),
        }
    }
}

/// One version of one app, `flights-v2`: consumer group, transactional ids, internal topics and state
/// directory all derive from it (Kafka Streams: `application.id`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApplicationId {
    app: AppName,
    version: Version,
}

impl ApplicationId {
    /// The id of a version of an app.
    pub fn new(app: AppName, version: Version) -> Self {
        Self { app, version }
    }

    /// The app.
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The consumer group.
    pub fn group(&self) -> String {
        self.to_string()
    }

    /// The empty topic whose partitions are the tasks.
    pub fn task_topic(&self) -> String {
        format!("{self}-tasks")
    }

    /// A topic of the topology, by its physical name.
    pub fn topic(&self, topic: &TopicRef) -> String {
        topic.physical(&self.to_string())
    }

    /// The changelog of a store.
    pub fn changelog(&self, store: &str) -> String {
        self.topic(&TopicRef::Changelog(store.to_owned()))
    }

    /// A repartition topic.
    pub fn repartition(&self, name: &str) -> String {
        self.topic(&TopicRef::Repartition(name.to_owned()))
    }

    /// The physical output of a view.
    pub fn view(&self, view: &str) -> String {
        self.topic(&TopicRef::View(view.to_owned()))
    }

    /// The transactional id of a stream thread. `identity` is that of the process's state directory.
    pub fn transactional_id(&self, identity: &str, thread: usize) -> String {
        format!("{self}-{identity}-{thread}")
    }

    /// The client id of one of the process's clients, for logs and the broker's metrics.
    pub fn client_id(&self, identity: &str, role: &str) -> String {
        format!("{self}-{identity}-{role}")
    }

    /// The directory, below the state directory, of everything this version keeps on disk.
    pub fn state_directory(&self) -> String {
        self.to_string()
    }

    /// What the names of all topics that belong to this version alone begin with.
    pub fn topic_prefix(&self) -> String {
        format!("{self}-")
    }
}

impl fmt::Display for ApplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.app, self.version))
    }
}

impl fmt::Debug for ApplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ApplicationId {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let refused = || NameError::NotAnApplicationId { name: name.to_owned() };
        let (app, number) = name.rsplit_once("-v").ok_or_else(refused)?;
        let version = number.parse().map_err(|_| refused())?;
        let id = Self::new(AppName::new(app)?, version);
        if id.to_string() == name { Ok(id) } else { Err(refused()) }
    }
}

impl TryFrom<String> for ApplicationId {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<ApplicationId> for String {
    fn from(id: ApplicationId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ApplicationId {
        name.parse().unwrap()
    }

    #[test]
    fn an_application_id_reads_back_what_it_shows() {
        let flights = ApplicationId::new(AppName::new("flights").unwrap(), Version(2));
        assert_eq!(flights.to_string(), "flights-v2");
        assert_eq!(id("flights-v2"), flights);
        assert_eq!(id("a-variety-v10").app().as_str(), "a-variety");
        assert_eq!(format!("{:>12}|{:<5}|", flights, Version(2)), "  flights-v2|v2   |");
    }

    #[test]
    fn what_is_no_application_id_is_refused() {
        for text in
            ["flights", "flights-2", "flights-v", "flights-vv2", "flights-v02", "-v2", "flights-v2-x", "a-v1-v2"]
        {
            assert!(text.parse::<ApplicationId>().is_err(), "{text}");
        }
        assert!("flights-v+2".parse::<ApplicationId>().is_err());
        assert!("flights-v99999999999".parse::<ApplicationId>().is_err());
    }

    #[test]
    fn versions_are_read_with_and_without_the_letter() {
        assert_eq!("v12".parse::<Version>().unwrap(), Version(12));
        assert_eq!("12".parse::<Version>().unwrap(), Version(12));
        assert!("12a".parse::<Version>().is_err());
        assert!("".parse::<Version>().is_err());
    }

    #[test]
    fn names_kafka_would_refuse_are_refused() {
        assert!(matches!(AppName::new("fl ights"), Err(NameError::Character { character: ' ', .. })));
        assert!(matches!(AppName::new("flüge"), Err(NameError::Character { character: 'ü', .. })));
        assert!(matches!(AppName::new(""), Err(NameError::Empty { .. })));
        assert!(matches!(AppName::new(".."), Err(NameError::Empty { .. })));
        assert!(AppName::new(&"a".repeat(100)).is_ok());
        assert!(matches!(AppName::new(&"a".repeat(101)), Err(NameError::Length { length: 101, length_max: 100, .. })));
        assert!(matches!(AppName::new("flights-v2"), Err(NameError::HoldsVersion { .. })));
        assert!(matches!(AppName::new("flights-v2-eu"), Err(NameError::HoldsVersion { .. })));
        assert!(AppName::new("flights-v2x").is_ok());
    }

    #[test]
    fn every_derived_name_begins_with_the_id() {
        let flights = id("flights-v2");
        assert_eq!(flights.task_topic(), "flights-v2-tasks");
        assert_eq!(flights.changelog("delays"), "flights-v2-delays-changelog");
        assert_eq!(flights.repartition("by-origin"), "flights-v2-by-origin-repartition");
        assert_eq!(flights.view("delays-by-airport"), "flights-v2-delays-by-airport-view");
        assert_eq!(flights.transactional_id("9f3a", 1), "flights-v2-9f3a-1");
        assert_eq!(flights.group(), "flights-v2");
    }

    #[test]
    fn json_holds_the_names_as_text() {
        let json = serde_json::to_string(&(id("flights-v2"), Version(3))).unwrap();
        assert_eq!(json, r#"["flights-v2",3]"#);
        assert!(serde_json::from_str::<ApplicationId>(r#""flights""#).is_err());
    }
}
