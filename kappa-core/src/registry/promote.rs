//! Which version is live: the first by itself, later ones by promotion, and back.
//!
//! **Invariants:**
//! - `previous` entries undo exactly the last promotion: each view goes back to where it pointed before it.
//! - A view that the promoted version no longer writes stays where it points: its readers are not cut off.

use super::record::{Bytes, Phase, Record};
use super::{AppEntry, Registry, RegistryError, Snapshot, ViewEntry, ViewMap};
use crate::app::{AppName, ApplicationId, Version};
use crate::deploy::{CatchUp, Progress};
use crate::log::{LogError, Recovery};
use std::time::{Duration, Instant};

const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What a promotion or a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The version that is live now.
    pub live: ApplicationId,
    /// The one that was live before.
    pub before: Option<Version>,
    /// The view map's revision that says so.
    pub revision: u64,
    /// The views that point at the live version.
    pub views: Vec<String>,
    /// Whether this call changed anything; false when it was live already.
    pub changed: bool,
}

/// What became of a version that wants to go live by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstLive {
    /// It is live now.
    WentLive(Promotion),
    /// It is not for it to go live by itself: this version is live, or was registered before it.
    Hidden {
        /// The version that comes first.
        first: ApplicationId,
    },
    /// It was live before this call.
    Live,
    /// It has not caught up yet.
    Behind(Progress),
}

impl Registry {
    /// Makes a version live when it is the first of its app and has caught up with what was in its inputs when
    /// this was first asked. Cheap to ask again and again.
    pub fn go_live_if_first(
        &mut self,
        app: &AppName,
        version: Version,
        now_ms: i64,
    ) -> Result<FirstLive, RegistryError> {
        let id = ApplicationId::new(app.clone(), version);
        let snapshot = self.snapshot()?;
        if let Some(decided) = not_first(&snapshot, &id)? {
            self.first = None;
            return Ok(decided);
        }
        let mut question = match self.first.take() {
            Some((asked, question)) if asked == id => question,
            _ => CatchUp::new(&self.log, &snapshot.running(&id)?.manifest)?,
        };
        let progress = question.check(self.settings.deadline)?;
        if !progress.caught_up() {
            self.first = Some((id, question));
            return Ok(FirstLive::Behind(progress));
        }
        let by = self.settings.writer.clone();
        let went = self.write(now_ms, |snapshot| match not_first(snapshot, &id)? {
            Some(FirstLive::Live) => Ok((Vec::new(), FirstLive::WentLive(promotion(snapshot, &id, None, true)))),
            Some(decided) => Ok((Vec::new(), decided)),
            None => {
                let (records, promotion) = promoted(snapshot, &id, &by, now_ms)?;
                Ok((records, FirstLive::WentLive(promotion)))
            }
        })?;
        if let FirstLive::WentLive(promotion) = &went {
            tracing::info!(%id, revision = promotion.revision, "first version of its app and caught up: live");
        }
        Ok(went)
    }

    /// Sends readers to a version: all its views, by one record.
    ///
    /// Waits [`promote_wait`](super::RegistrySettings::promote_wait) for it to catch up with what is in its inputs
    /// now, and refuses with [`RegistryError::Behind`] if it does not.
    pub fn promote(&mut self, app: &AppName, version: Version, now_ms: i64) -> Result<Promotion, RegistryError> {
        let seen = self.snapshot()?;
        self.promote_from(&seen, app, version, now_ms)
    }

    /// Promotes on the strength of what was seen earlier: refused with [`RegistryError::Lost`] when what is live
    /// in the app has changed since.
    pub fn promote_from(
        &mut self,
        seen: &Snapshot,
        app: &AppName,
        version: Version,
        now_ms: i64,
    ) -> Result<Promotion, RegistryError> {
        let id = ApplicationId::new(app.clone(), version);
        let manifest = &seen.running(&id)?.manifest;
        let before = seen.live(app);
        if before == Some(version) {
            return Ok(promotion(seen, &id, None, false));
        }
        let mut question = CatchUp::new(&self.log, manifest)?;
        self.wait_for(&mut question)?;
        let by = self.settings.writer.clone();
        let promotion = self.write(now_ms, |snapshot| {
            if snapshot.live(app) == Some(version) {
                return Ok((Vec::new(), promotion(snapshot, &id, before, snapshot.view_map.by == by)));
            }
            unchanged_since(seen, snapshot, app)?;
            snapshot.running(&id)?;
            promoted(snapshot, &id, &by, now_ms)
        })?;
        tracing::info!(%id, revision = promotion.revision, "promoted");
        Ok(promotion)
    }

    /// Sends readers back to where they were before the last promotion.
    ///
    /// Does not ask whether that version has caught up: going back is for emergencies.
    pub fn rollback(&mut self, app: &AppName, now_ms: i64) -> Result<Promotion, RegistryError> {
        let seen = self.snapshot()?;
        let to = rollback_target(&seen, app)?;
        let before = seen.live(app);
        let by = self.settings.writer.clone();
        let promotion = self.write(now_ms, |snapshot| {
            let moved = snapshot.view_map.apps.get(app).map(|entry| entry.revision);
            if snapshot.live(app) == Some(to.version()) && moved != seen.view_map.apps.get(app).map(|e| e.revision) {
                return Ok((Vec::new(), promotion(snapshot, &to, before, snapshot.view_map.by == by)));
            }
            unchanged_since(&seen, snapshot, app)?;
            snapshot.running(&to)?;
            rolled_back(snapshot, &to, &by, now_ms)
        })?;
        tracing::info!(id = %to, revision = promotion.revision, "rolled back");
        Ok(promotion)
    }

    fn wait_for(&self, question: &mut CatchUp) -> Result<(), RegistryError> {
        let asked = Instant::now();
        let until = asked + self.settings.promote_wait;
        loop {
            match question.check(self.settings.deadline.min(Duration::from_secs(5))) {
                Ok(progress) if progress.caught_up() => return Ok(()),
                Ok(progress) if Instant::now() >= until => {
                    return Err(RegistryError::Behind { progress: Box::new(progress), waited: asked.elapsed() });
                }
                Err(error) if !retriable(&error) || Instant::now() >= until => return Err(error.into()),
                Ok(_) | Err(_) => std::thread::sleep(CHECK_INTERVAL),
            }
        }
    }
}

fn retriable(error: &LogError) -> bool {
    error.recovery() == Recovery::Retry
}

/// Why a version does not go live by itself; `None` when it does.
fn not_first(snapshot: &Snapshot, id: &ApplicationId) -> Result<Option<FirstLive>, RegistryError> {
    snapshot.running(id)?;
    if let Some(live) = snapshot.live(id.app()) {
        let first = ApplicationId::new(id.app().clone(), live);
        return Ok(Some(if first == *id { FirstLive::Live } else { FirstLive::Hidden { first } }));
    }
    let first = snapshot.first_of(id.app()).filter(|first| *first != id);
    Ok(first.map(|first| FirstLive::Hidden { first: first.clone() }))
}

/// Refuses when what is live in the app has changed between the two.
fn unchanged_since(seen: &Snapshot, now: &Snapshot, app: &AppName) -> Result<(), RegistryError> {
    let revision = |snapshot: &Snapshot| snapshot.view_map.apps.get(app).map_or(0, |entry| entry.revision);
    if revision(seen) == revision(now) {
        return Ok(());
    }
    Err(RegistryError::Lost {
        app: app.clone(),
        live: now.live(app),
        revision: now.view_map.revision,
        by: now.view_map.by.clone(),
    })
}

fn rollback_target(seen: &Snapshot, app: &AppName) -> Result<ApplicationId, RegistryError> {
    let known = seen.apps();
    if !known.contains(app) {
        return Err(RegistryError::UnknownApp { app: app.clone(), known });
    }
    match seen.view_map.apps.get(app).and_then(|entry| entry.previous) {
        Some(previous) => Ok(ApplicationId::new(app.clone(), previous)),
        None => Err(RegistryError::NothingToRollBackTo { app: app.clone(), live: seen.live(app) }),
    }
}

fn promotion(snapshot: &Snapshot, id: &ApplicationId, before: Option<Version>, changed: bool) -> Promotion {
    Promotion {
        live: id.clone(),
        before,
        revision: snapshot.view_map.revision,
        views: views_of(&snapshot.view_map, id),
        changed,
    }
}

fn views_of(map: &ViewMap, id: &ApplicationId) -> Vec<String> {
    map.views.iter().filter(|(_, entry)| entry.serves == *id).map(|(view, _)| view.clone()).collect()
}

type Decided = Result<(Vec<Bytes>, Promotion), RegistryError>;

fn promoted(snapshot: &Snapshot, id: &ApplicationId, by: &str, now_ms: i64) -> Decided {
    let mut map = next(&snapshot.view_map, by, now_ms);
    let before = snapshot.live(id.app());
    let entry = AppEntry { live: id.version(), previous: before, revision: map.revision };
    map.apps.insert(id.app().clone(), entry);
    for view in snapshot.running(id)?.manifest.views.keys() {
        let previous = map.views.remove(view).map(|entry| entry.serves);
        map.views.insert(view.clone(), ViewEntry { serves: id.clone(), previous });
    }
    Ok(decided(map, id, before, now_ms))
}

fn rolled_back(snapshot: &Snapshot, to: &ApplicationId, by: &str, now_ms: i64) -> Decided {
    let mut map = next(&snapshot.view_map, by, now_ms);
    let before = snapshot.live(to.app());
    let entry = AppEntry { live: to.version(), previous: None, revision: map.revision };
    map.apps.insert(to.app().clone(), entry);
    let from = before.map(|version| ApplicationId::new(to.app().clone(), version));
    map.views = std::mem::take(&mut map.views)
        .into_iter()
        .filter_map(|(view, entry)| match entry.previous {
            _ if Some(&entry.serves) != from.as_ref() => Some((view, entry)),
            Some(serves) => Some((view, ViewEntry { serves, previous: None })),
            None => None,
        })
        .collect();
    Ok(decided(map, to, before, now_ms))
}

fn next(map: &ViewMap, by: &str, now_ms: i64) -> ViewMap {
    ViewMap { revision: map.revision + 1, by: by.to_owned(), at_ms: now_ms, ..map.clone() }
}

fn decided(map: ViewMap, live: &ApplicationId, before: Option<Version>, now_ms: i64) -> (Vec<Bytes>, Promotion) {
    let mut records = vec![Record::view_map(&map), Record::phase(live, Phase::Live, now_ms)];
    if let Some(before) = before.filter(|before| *before != live.version()) {
        records.push(Record::phase(&ApplicationId::new(live.app().clone(), before), Phase::Hidden, now_ms));
    }
    let views = views_of(&map, live);
    (records, Promotion { live: live.clone(), before, revision: map.revision, views, changed: true })
}
