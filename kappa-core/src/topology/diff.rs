//! What is different between two versions of a topology, and what that means for state and topics.
//!
//! Functions can't be compared: a filter with another predicate is the same here. What is compared is what state and topics
//! depend on, and which operators there are.

mod meaning;

use super::TopologyDescription;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The difference: see [`TopologyDescription::diff`].
///
/// ```
/// use kappa_core::{codec::utf8, topology::{Topology, TopologyError, Verdict}};
///
/// fn version(store: &str) -> Result<Topology, TopologyError> {
///     let mut app = Topology::builder();
///     app.stream("flights", utf8(), utf8()).group_by_key().count(store).to("out");
///     app.build()
/// }
/// let diff = version("by-number")?.description().diff(&version("flights")?.description());
/// assert_eq!(diff.verdict, Verdict::NewVersion);
/// assert!(diff.to_string().contains("store by-number"));
/// # Ok::<(), TopologyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyDiff {
    /// What it takes to go from the one to the other.
    pub verdict: Verdict,
    /// The changes: what concerns state first.
    pub changes: Vec<TopologyChange>,
}

/// What it takes to go from one topology to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing: they are equal, as far as can be seen without their functions.
    Same,
    /// The new one can run as the same version: state and topics mean the same.
    InPlace,
    /// The new one needs a version of its own: state or topics mean something else.
    NewVersion,
}

/// How something has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is there in both, and different.
    Changed,
    /// It has another name, and nothing else.
    Renamed,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyChange {
    /// How it has changed.
    pub kind: ChangeKind,
    /// What has changed: `store delays`, `operator flights.filter`.
    pub what: String,
    /// How it was and is, where that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What follows from it.
    pub meaning: String,
}

impl TopologyDiff {
    pub(crate) fn new(older: &TopologyDescription, newer: &TopologyDescription) -> Self {
        let changes = meaning::changes(older, newer);
        let verdict = match (older.fingerprint == newer.fingerprint, changes.is_empty()) {
            (true, true) => Verdict::Same,
            (true, false) => Verdict::InPlace,
            (false, _) => Verdict::NewVersion,
        };
        Self { verdict, changes }
    }
}

impl Verdict {
    /// In words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Same => "nothing that can be seen without the functions has changed",
            Self::InPlace => {
                "can run as the same version: state and topics stay as they are. What was computed before stays as it was \
                 computed; to have that computed anew as well, start it as a new version"
            }
            Self::NewVersion => {
                "needs a new version: its state and topics mean something else. Started as one, it fills stores and topics of \
                 its own from the inputs, beside the old one"
            }
        }
    }
}

impl fmt::Display for TopologyDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            let sign = match change.kind {
                ChangeKind::Added => '+',
                ChangeKind::Removed => '-',
                ChangeKind::Changed => '~',
                ChangeKind::Renamed => '=',
            };
            writeln!(f, "{sign} {}", change.what)?;
            if let Some(detail) = &change.detail {
                writeln!(f, "    {detail}")?;
            }
            writeln!(f, "    {}", change.meaning)?;
        }
        writeln!(f, "{}", self.verdict.meaning())
    }
}
