//! The registry's content at one point of its topic.
//!
//! **Invariants:**
//! - A snapshot is taken only at an end of the topic, hence between two transactions: the view map and the phases
//!   of one snapshot belong together.
//! - Only `live` entries of the view map decide where readers go; phases repeat it for people.

use super::record::{Phase, Record};
use super::{Manifest, RegistryError, ViewMap};
use crate::app::{AppName, ApplicationId, Version};
use std::collections::BTreeMap;

/// A version that has started at least once.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredVersion {
    /// What it is.
    pub manifest: Manifest,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when, ms since 1970.
    pub phase_at_ms: i64,
    /// The offset of its manifest: who registered earlier has the lower one.
    pub registered_at: i64,
}

/// The registry's content at one point of its topic.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Every version that is registered.
    pub versions: BTreeMap<ApplicationId, RegisteredVersion>,
    /// Where the views point.
    pub view_map: ViewMap,
    phases: BTreeMap<ApplicationId, (Phase, i64)>,
}

impl Snapshot {
    /// The apps that have a registered version.
    pub fn apps(&self) -> Vec<AppName> {
        let mut apps: Vec<AppName> = self.versions.keys().map(|id| id.app().clone()).collect();
        apps.dedup();
        apps
    }

    /// The registered versions of an app, lowest first.
    pub fn versions_of(&self, app: &AppName) -> Vec<Version> {
        self.versions.keys().filter(|id| id.app() == app).map(ApplicationId::version).collect()
    }

    /// A registered version that is not retired, or an error that names those there are.
    pub fn running(&self, id: &ApplicationId) -> Result<&RegisteredVersion, RegistryError> {
        match self.versions.get(id) {
            Some(version) if version.phase == Phase::Retired => Err(RegistryError::Retired { id: id.clone() }),
            Some(version) => Ok(version),
            None => Err(self.unknown(id)),
        }
    }

    /// A registered version, retired or not, or an error that names those there are.
    pub fn version(&self, id: &ApplicationId) -> Result<&RegisteredVersion, RegistryError> {
        self.versions.get(id).ok_or_else(|| self.unknown(id))
    }

    /// The live version of an app.
    pub fn live(&self, app: &AppName) -> Option<Version> {
        self.view_map.apps.get(app).map(|entry| entry.live)
    }

    /// The first registered of an app's versions that are not retired.
    pub(super) fn first_of(&self, app: &AppName) -> Option<&ApplicationId> {
        let versions = self.versions.iter().filter(|(id, v)| id.app() == app && v.phase != Phase::Retired);
        versions.min_by_key(|(_, version)| version.registered_at).map(|(id, _)| id)
    }

    /// Another app's version that writes a view of this name.
    pub(super) fn foreign_owner(&self, view: &str, app: &AppName) -> Option<&ApplicationId> {
        let mut others = self.versions.iter().filter(|(id, v)| id.app() != app && v.phase != Phase::Retired);
        others.find(|(_, version)| version.manifest.views.contains_key(view)).map(|(id, _)| id)
    }

    fn unknown(&self, id: &ApplicationId) -> RegistryError {
        let known = self.versions_of(id.app());
        if known.is_empty() {
            return RegistryError::UnknownApp { app: id.app().clone(), known: self.apps() };
        }
        RegistryError::UnknownVersion { id: id.clone(), known }
    }

    pub(super) fn apply(&mut self, offset: i64, record: Record) {
        match record {
            Record::Manifest(manifest) => {
                let (phase, phase_at_ms) =
                    self.phase_of(&manifest.id).unwrap_or((Phase::Hidden, manifest.created_at_ms));
                let id = manifest.id.clone();
                let version = RegisteredVersion { manifest: *manifest, phase, phase_at_ms, registered_at: offset };
                self.versions.insert(id, version);
            }
            Record::ManifestRemoved(id) => {
                self.versions.remove(&id);
            }
            Record::Phase { id, phase, at_ms } => {
                if let Some(version) = self.versions.get_mut(&id) {
                    (version.phase, version.phase_at_ms) = (phase, at_ms);
                }
                self.phases.insert(id, (phase, at_ms));
            }
            Record::PhaseRemoved(id) => {
                self.phases.remove(&id);
            }
            Record::ViewMap(map) => self.view_map = map,
            Record::ViewMapRemoved => self.view_map = ViewMap::default(),
            Record::Unknown(key) => {
                tracing::warn!(
                    key,
                    offset,
                    "registry record of a kind this version of kappa does not know, left alone"
                );
            }
        }
    }

    fn phase_of(&self, id: &ApplicationId) -> Option<(Phase, i64)> {
        self.phases.get(id).copied()
    }
}
