//! The registry's records, byte for byte.
//!
//! The topic has one partition and is compacted. Keys are text, values JSON objects of one line; every value has
//! a field `format`, now 1. A reader that meets a higher one refuses to go on: it would misunderstand what it
//! guards. Keys of an unknown kind are left alone, so that later kinds can be added.
//!
//! | key | value |
//! | --- | --- |
//! | `manifest/<application id>` | [`Manifest`]: written once, when the version first starts |
//! | `phase/<application id>` | `{"format":1,"phase":"hidden"\|"live"\|"retired","at_ms":…}` |
//! | `view-map` | [`ViewMap`]: the one record that says what is live |
//!
//! ```json
//! {"format":1,"revision":2,"by":"kappa-4711-0","at_ms":1700000000000,
//!  "apps":{"flights":{"live":2,"previous":1,"revision":2}},
//!  "views":{"delays-by-airport":{"serves":"flights-v2","previous":"flights-v1"}}}
//! ```
//!
//! A null value removes what its key named.

use super::Manifest;
use crate::app::{AppName, ApplicationId, Version};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format written by this code, and the highest it reads.
const FORMAT: u32 = 1;

const MANIFEST: &str = "manifest/";
const PHASE: &str = "phase/";
const VIEW_MAP: &str = "view-map";

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Runs beside the live version, or did; nobody is sent to its views.
    Hidden,
    /// Readers are sent to its views.
    Live,
    /// Its topics and state are removed.
    Retired,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Hidden => "hidden",
            Self::Live => "live",
            Self::Retired => "retired",
        })
    }
}

/// Which version of an app is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppEntry {
    /// The live version.
    pub live: Version,
    /// The version that was live before it, to roll back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    /// The view map's revision that last changed this entry.
    pub revision: u64,
}

/// Where a view points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewEntry {
    /// The version whose output readers are sent to.
    pub serves: ApplicationId,
    /// The one before it, to roll back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ApplicationId>,
}

/// The one record that says which version every view points at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewMap {
    /// Counts the changes; 0 is the empty map before the first.
    pub revision: u64,
    /// Who wrote this revision.
    pub by: String,
    /// When, ms since 1970.
    pub at_ms: i64,
    /// The live version of every app that has one.
    pub apps: BTreeMap<AppName, AppEntry>,
    /// Every view.
    pub views: BTreeMap<String, ViewEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PhaseValue {
    phase: Phase,
    at_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Versioned<T> {
    format: u32,
    #[serde(flatten)]
    body: T,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// One record, decoded.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Record {
    Manifest(Box<Manifest>),
    ManifestRemoved(ApplicationId),
    Phase {
        id: ApplicationId,
        phase: Phase,
        at_ms: i64,
    },
    PhaseRemoved(ApplicationId),
    ViewMap(ViewMap),
    ViewMapRemoved,
    /// Of a kind this code does not know.
    Unknown(String),
}

/// The key and value of a record to write.
pub(super) type Bytes = (Vec<u8>, Vec<u8>);

impl Record {
    /// Reads a record; the error says in words what is wrong.
    pub(super) fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, String> {
        let key = key.ok_or("it has no key; something other than kappa writes to this topic")?;
        let key = str::from_utf8(key).map_err(|_| "its key is no text; something other than kappa writes here")?;
        if key == VIEW_MAP {
            return Ok(value.map(parse).transpose()?.map_or(Self::ViewMapRemoved, Self::ViewMap));
        }
        if let Some(id) = key.strip_prefix(MANIFEST) {
            let manifest = value.map(parse).transpose()?;
            return Ok(match manifest {
                Some(manifest) => Self::Manifest(Box::new(manifest)),
                None => Self::ManifestRemoved(named(id)?),
            });
        }
        if let Some(id) = key.strip_prefix(PHASE) {
            let id = named(id)?;
            return Ok(match value.map(parse::<PhaseValue>).transpose()? {
                Some(PhaseValue { phase, at_ms }) => Self::Phase { id, phase, at_ms },
                None => Self::PhaseRemoved(id),
            });
        }
        Ok(Self::Unknown(key.to_owned()))
    }

    /// A manifest's record.
    pub(super) fn manifest(manifest: &Manifest) -> Bytes {
        (format!("{MANIFEST}{}", manifest.id).into_bytes(), json(manifest))
    }

    /// A phase's record.
    pub(super) fn phase(id: &ApplicationId, phase: Phase, at_ms: i64) -> Bytes {
        (format!("{PHASE}{id}").into_bytes(), json(&PhaseValue { phase, at_ms }))
    }

    /// The view map's record.
    pub(super) fn view_map(map: &ViewMap) -> Bytes {
        (VIEW_MAP.as_bytes().to_vec(), json(map))
    }
}

fn named(id: &str) -> Result<ApplicationId, String> {
    id.parse().map_err(|error| format!("its key: {error}"))
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    let FormatOnly { format } = serde_json::from_slice(value).map_err(|error| format!("its value: {error}"))?;
    if format > FORMAT {
        return Err(format!("written in format {format} by a newer kappa, this one reads up to {FORMAT}; upgrade it"));
    }
    let value: Versioned<T> = serde_json::from_slice(value).map_err(|error| format!("its value: {error}"))?;
    Ok(value.body)
}

fn json<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(&Versioned { format: FORMAT, body }).expect("text keys and plain fields always become JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ApplicationId {
        name.parse().unwrap()
    }

    fn decode((key, value): &Bytes) -> Record {
        Record::decode(Some(key), Some(value)).unwrap()
    }

    #[test]
    fn the_view_map_is_written_as_documented() {
        let map = ViewMap {
            revision: 2,
            by: "kappa-4711-0".into(),
            at_ms: 1_700_000_000_000,
            apps: [(
                "flights".parse().unwrap(),
                AppEntry { live: Version(2), previous: Some(Version(1)), revision: 2 },
            )]
            .into(),
            views: [(
                "delays-by-airport".into(),
                ViewEntry { serves: id("flights-v2"), previous: Some(id("flights-v1")) },
            )]
            .into(),
        };
        let bytes = Record::view_map(&map);
        let documented = r#"{"format":1,"revision":2,"by":"kappa-4711-0","at_ms":1700000000000,"apps":{"flights":{"live":2,"previous":1,"revision":2}},"views":{"delays-by-airport":{"serves":"flights-v2","previous":"flights-v1"}}}"#;
        assert_eq!(str::from_utf8(&bytes.1).unwrap(), documented);
        assert_eq!(decode(&bytes), Record::ViewMap(map));
    }

    #[test]
    fn phases_are_written_as_documented() {
        let (key, value) = Record::phase(&id("flights-v1"), Phase::Hidden, 5);
        assert_eq!(key, b"phase/flights-v1");
        assert_eq!(value, br#"{"format":1,"phase":"hidden","at_ms":5}"#);
        let record = Record::decode(Some(&key), Some(&value)).unwrap();
        assert_eq!(record, Record::Phase { id: id("flights-v1"), phase: Phase::Hidden, at_ms: 5 });
    }

    #[test]
    fn a_newer_format_is_refused_and_says_what_to_do() {
        let newer = br#"{"format":2,"revision":"another type"}"#;
        let error = Record::decode(Some(b"view-map"), Some(newer)).unwrap_err();
        assert!(error.contains("format 2") && error.contains("upgrade"), "{error}");
    }

    #[test]
    fn a_null_removes_and_an_unknown_kind_is_left_alone() {
        assert_eq!(Record::decode(Some(b"view-map"), None).unwrap(), Record::ViewMapRemoved);
        assert_eq!(Record::decode(Some(b"phase/a-v1"), None).unwrap(), Record::PhaseRemoved(id("a-v1")));
        assert_eq!(Record::decode(Some(b"lineage/a-v1"), Some(b"?")).unwrap(), Record::Unknown("lineage/a-v1".into()));
    }

    #[test]
    fn garbage_is_named() {
        assert!(Record::decode(None, Some(b"x")).unwrap_err().contains("no key"));
        assert!(Record::decode(Some(b"view-map"), Some(b"{")).unwrap_err().contains("its value"));
        assert!(Record::decode(Some(b"phase/nonsense"), Some(b"{}")).unwrap_err().contains("application id"));
    }
}
