//! The registry on the embedded log: who may register, what goes live, and who wins when two want it.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod registry_support;

use kappa_core::app::Version;
use kappa_core::deploy::{CatchUp, caught_up};
use kappa_core::log::CleanupPolicy;
use kappa_core::registry::{FirstLive, Phase, Registry, RegistryError, RegistryReader, Stage};
use registry_support::*;
use std::sync::Barrier;
use std::time::{Duration, Instant};

#[test]
fn a_registered_version_is_seen_by_others_and_registering_again_writes_nothing() {
    let log = log();
    let manifest = manifest(&log, "sums-v1");
    registry(&log, "a").register(&manifest).unwrap();
    let written = end(&log, REGISTRY, 0);

    let mut other = registry(&log, "b");
    let snapshot = other.snapshot().unwrap();
    let version = &snapshot.versions[&id("sums-v1")];
    assert_eq!(version.manifest, manifest);
    assert_eq!((version.phase, version.phase_at_ms), (Phase::Hidden, 5));
    assert_eq!(snapshot.view_map.revision, 0);

    other.register(&manifest).unwrap();
    assert_eq!(end(&log, REGISTRY, 0), written);
}

#[test]
fn another_topology_under_the_same_version_is_refused() {
    let log = log();
    let mut registry = registry(&log, "a");
    let mut manifest = manifest(&log, "sums-v1");
    registry.register(&manifest).unwrap();
    manifest.fingerprint = "def".into();
    let error = registry.register(&manifest).unwrap_err();
    assert!(matches!(&error, RegistryError::TopologyChanged { registered, offered, .. }
        if registered == "abc" && offered == "def"));
    assert!(error.to_string().contains("raise the version"), "{error}");
    assert_eq!(registry.snapshot().unwrap().versions[&id("sums-v1")].manifest.fingerprint, "abc");
}

#[test]
fn a_view_of_another_app_is_refused() {
    let log = log();
    let mut registry = registry(&log, "a");
    registry.register(&manifest(&log, "sums-v1")).unwrap();
    registry.register(&manifest(&log, "sums-v2")).unwrap();
    let error = registry.register(&manifest(&log, "bills-v1")).unwrap_err();
    assert!(matches!(error, RegistryError::ViewTaken { owner, .. } if owner == id("sums-v1")));
}

#[test]
fn a_topic_with_two_partitions_is_no_registry_and_a_missing_one_is_not_made_by_reading() {
    let log = log();
    create(&log, "two", 2, CleanupPolicy::Compact);
    let error = Registry::open(log.clone(), "two").unwrap_err();
    assert!(matches!(error, RegistryError::NotOnePartition { partitions: 2, .. }));
    let error = RegistryReader::open(&log, "none", DEADLINE).unwrap_err();
    assert!(matches!(error, RegistryError::Missing { .. }));
    assert_eq!(log.topics().unwrap().describe("none").unwrap(), None);
}

#[test]
fn the_first_version_goes_live_when_caught_up_and_later_ones_stay_hidden() {
    let log = log();
    let mut registry = registry(&log, "a");
    registry.register(&manifest(&log, "sums-v1")).unwrap();
    registry.register(&manifest(&log, "sums-v2")).unwrap();
    append(&log, "in", 0, &[("k", Some("1")), ("k", Some("2"))]);
    append(&log, "in", 1, &[("j", Some("1"))]);
    commit(&log, "sums-v1", &[("in", 0, 1)]);
    commit(&log, "sums-v2", &[("in", 0, 2), ("in", 1, 1)]);

    let sums = app("sums");
    match registry.go_live_if_first(&sums, Version(1), 10).unwrap() {
        FirstLive::Behind(progress) => assert_eq!(progress.behind, 2),
        other => panic!("{other:?}"),
    }
    let hidden = FirstLive::Hidden { first: id("sums-v1") };
    assert_eq!(registry.go_live_if_first(&sums, Version(2), 10).unwrap(), hidden, "caught up, and not the first");

    // A record that came after the question does not keep it from going live.
    assert!(matches!(registry.go_live_if_first(&sums, Version(1), 10).unwrap(), FirstLive::Behind(_)));
    append(&log, "in", 0, &[("k", Some("3"))]);
    commit(&log, "sums-v1", &[("in", 0, 2), ("in", 1, 1)]);
    match registry.go_live_if_first(&sums, Version(1), 10).unwrap() {
        FirstLive::WentLive(promotion) => {
            assert_eq!(promotion.revision, 1);
            assert_eq!(promotion.views, [VIEW]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(registry.go_live_if_first(&sums, Version(1), 11).unwrap(), FirstLive::Live);
    assert_eq!(registry.go_live_if_first(&sums, Version(2), 11).unwrap(), hidden);
    let snapshot = registry.snapshot().unwrap();
    assert_eq!(snapshot.view_map.views[VIEW].serves, id("sums-v1"));
    assert_eq!(snapshot.versions[&id("sums-v1")].phase, Phase::Live);
    assert_eq!(snapshot.versions[&id("sums-v2")].phase, Phase::Hidden);
}

#[test]
fn promotion_is_refused_with_numbers_when_behind() {
    let log = log();
    let mut registry = running(&log, &["sums-v1", "sums-v2"]);
    append(&log, "in", 0, &[("k", Some("1")); 7]);
    append(&log, "in", 1, &[("j", Some("1")); 3]);
    commit(&log, "sums-v2", &[("in", 0, 2), ("in", 1, 3)]);
    let error = registry.promote(&app("sums"), Version(2), 20).unwrap_err();
    let RegistryError::Behind { progress, .. } = &error else { panic!("{error}") };
    assert_eq!((progress.behind, progress.lag_by_topic()), (5, vec![("in", 5)]));
    let text = error.to_string();
    assert!(
        text.starts_with("sums-v2 is 5 records behind: 5 in in; most in in partition 0: committed 2, end 7"),
        "{text}"
    );
    assert_eq!(live(&mut registry, "sums"), Some(Version(1)));
    assert_eq!(registry.snapshot().unwrap().view_map.revision, 1);
}

#[test]
fn promotion_waits_for_what_is_nearly_there() {
    let log = log();
    drop(running(&log, &["sums-v1", "sums-v2"]));
    append(&log, "in", 0, &[("k", Some("1"))]);
    std::thread::scope(|scope| {
        let promotion =
            scope.spawn(|| patient(&log, "a", DEADLINE).promote(&app("sums"), Version(2), 20).map(|p| p.revision));
        catch_up(&log, "sums-v2");
        assert_eq!(promotion.join().unwrap().unwrap(), 2);
    });
}

#[test]
fn promote_and_roll_back_switch_all_views_by_one_record() {
    let log = log();
    let mut registry = registry(&log, "a");
    for (name, views) in [("sums-v1", ["old", "totals"]), ("sums-v2", ["new", "totals"])] {
        let mut manifest = manifest(&log, name);
        manifest.views = views.map(|view| (view.to_owned(), id(name).view(view))).into();
        registry.register(&manifest).unwrap();
    }
    let sums = app("sums");
    registry.go_live_if_first(&sums, Version(1), 10).unwrap();
    let promoted = registry.promote(&sums, Version(2), 20).unwrap();
    assert!(promoted.changed);
    assert_eq!((promoted.before, promoted.revision), (Some(Version(1)), 2));
    assert_eq!(promoted.views, ["new", "totals"]);
    let serves = |registry: &mut Registry| -> Vec<(String, String)> {
        let snapshot = registry.snapshot().unwrap();
        snapshot.view_map.views.iter().map(|(view, entry)| (view.clone(), entry.serves.to_string())).collect()
    };
    let pairs = |expected: &[(&str, &str)]| -> Vec<(String, String)> {
        expected.iter().map(|(view, id)| (view.to_string(), id.to_string())).collect()
    };
    // A view that v2 no longer writes stays with v1: its readers are not cut off.
    assert_eq!(serves(&mut registry), pairs(&[("new", "sums-v2"), ("old", "sums-v1"), ("totals", "sums-v2")]));
    assert!(!registry.promote(&sums, Version(2), 21).unwrap().changed);

    let back = registry.rollback(&sums, 30).unwrap();
    assert_eq!((back.live.clone(), back.before, back.revision), (id("sums-v1"), Some(Version(2)), 3));
    assert_eq!(serves(&mut registry), pairs(&[("old", "sums-v1"), ("totals", "sums-v1")]));
    let snapshot = registry.snapshot().unwrap();
    assert_eq!(snapshot.versions[&id("sums-v1")].phase, Phase::Live);
    assert_eq!(snapshot.versions[&id("sums-v2")].phase, Phase::Hidden);
    assert_eq!((snapshot.view_map.at_ms, snapshot.view_map.by.as_str()), (30, "a"));

    let error = registry.rollback(&sums, 40).unwrap_err();
    assert!(matches!(error, RegistryError::NothingToRollBackTo { live: Some(Version(1)), .. }), "{error}");
    assert_eq!(registry.promote(&sums, Version(2), 50).unwrap().revision, 4);
}

#[test]
fn what_is_not_registered_is_named() {
    let log = log();
    let mut registry = running(&log, &["sums-v1"]);
    let error = registry.promote(&app("sums"), Version(3), 0).unwrap_err();
    assert!(error.to_string().starts_with("sums-v3 is not registered (registered: v1)"), "{error}");
    let error = registry.promote(&app("bills"), Version(1), 0).unwrap_err();
    assert!(error.to_string().starts_with("app bills is not registered (registered: sums)"), "{error}");
    assert!(matches!(registry.rollback(&app("bills"), 0).unwrap_err(), RegistryError::UnknownApp { .. }));
    assert!(matches!(registry.rollback(&app("sums"), 0).unwrap_err(), RegistryError::NothingToRollBackTo { .. }));
}

#[test]
fn the_loser_is_told_who_won() {
    let log = log();
    let mut winner = running(&log, &["sums-v1", "sums-v2", "sums-v3"]);
    let mut loser = registry(&log, "loser");
    let seen = loser.snapshot().unwrap();
    assert_eq!(winner.promote(&app("sums"), Version(3), 21).unwrap().revision, 2);
    match loser.promote_from(&seen, &app("sums"), Version(2), 22).unwrap_err() {
        RegistryError::Lost { revision: 2, by, live: Some(Version(3)), .. } => assert_eq!(by, "setup"),
        other => panic!("{other:?}"),
    }
    assert_eq!(live(&mut loser, "sums"), Some(Version(3)));

    // Whoever wanted the same has what it wanted, and is told that it was not the one.
    let same = loser.promote_from(&seen, &app("sums"), Version(3), 23).unwrap();
    assert_eq!((same.changed, same.revision), (false, 2));
    // A change in another app is nobody's loss.
    let seen = loser.snapshot().unwrap();
    let mut bills = manifest(&log, "bills-v1");
    bills.views.clear();
    winner.register(&bills).unwrap();
    catch_up(&log, "bills-v1");
    winner.promote(&app("bills"), Version(1), 24).unwrap();
    assert_eq!(loser.promote_from(&seen, &app("sums"), Version(1), 25).unwrap().revision, 4);
}

#[test]
fn writers_at_once_all_register_and_every_promotion_is_one_revision() {
    const WRITERS: u32 = 6;
    let log = log();
    let names: Vec<String> = (1..=WRITERS).map(|version| format!("sums-v{version}")).collect();
    let start = Barrier::new(names.len());
    let writer = |name: &String| {
        let mut registry = registry(&log, name);
        start.wait();
        registry.register(&manifest(&log, name)).unwrap();
        start.wait();
        registry.promote(&app("sums"), id(name).version(), 20).map(|promotion| promotion.revision)
    };
    let writer = &writer;
    let done: Vec<Result<u64, RegistryError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(move || writer(name))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let snapshot = registry(&log, "after").snapshot().unwrap();
    assert_eq!(snapshot.versions.len(), names.len());
    let mut won: Vec<u64> = done.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
    won.sort_unstable();
    assert_eq!(won, (1..=snapshot.view_map.revision).collect::<Vec<_>>(), "each winner wrote a revision of its own");
    for outcome in &done {
        assert!(matches!(outcome, Ok(_) | Err(RegistryError::Lost { .. })), "{outcome:?}");
    }
    let last = done.iter().position(|outcome| outcome.as_ref().ok() == Some(&snapshot.view_map.revision)).unwrap();
    assert_eq!(snapshot.view_map.views[VIEW].serves.to_string(), names[last]);
}

#[test]
fn a_writer_that_dies_before_its_commit_changes_nothing() {
    let log = log();
    let mut registry = running(&log, &["sums-v1", "sums-v2"]);
    let writer = format!("{REGISTRY}-writer");

    let mut dead = log.append(options(Some(&writer))).unwrap();
    dead.init(DEADLINE).unwrap();
    drop(dead);
    assert_eq!(live(&mut registry, "sums"), Some(Version(1)));

    let mut dead = log.append(options(Some(&writer))).unwrap();
    dead.init(DEADLINE).unwrap();
    dead.begin().unwrap();
    let map = r#"{"format":1,"revision":9,"by":"dead","at_ms":0,"apps":{},"views":{}}"#;
    put(dead.as_mut(), REGISTRY, 0, &[("view-map", Some(map))]);
    std::mem::forget(dead);
    assert_eq!(registry.snapshot().unwrap().view_map.revision, 1, "readers go on beside an open transaction");
    assert_eq!(registry.promote(&app("sums"), Version(2), 20).unwrap().revision, 2);
    assert_eq!(registry_support::registry(&log, "later").snapshot().unwrap().view_map.revision, 2);
}

#[test]
fn followers_see_a_promotion() {
    let log = log();
    let mut registry = running(&log, &["sums-v1", "sums-v2"]);
    let mut follower = RegistryReader::open(&log, REGISTRY, DEADLINE).unwrap();
    assert!(follower.follow(Duration::from_millis(10)).unwrap().is_none());
    registry.promote(&app("sums"), Version(2), 20).unwrap();
    let until = Instant::now() + DEADLINE;
    while follower.snapshot().view_map.revision < 2 {
        assert!(Instant::now() < until);
        follower.follow(Duration::from_millis(50)).unwrap();
    }
    assert_eq!(follower.snapshot().live(&app("sums")), Some(Version(2)));
}

#[test]
fn catching_up_goes_through_repartition_topics_in_order() {
    let log = log();
    let mut manifest = manifest(&log, "sums-v1");
    let through = id("sums-v1").repartition("by-key");
    create(&log, &through, 1, CleanupPolicy::Delete);
    let second = Stage { reads: vec![through.clone()], name: "a-second".into(), ..manifest.stages[0].clone() };
    manifest.stages[0].writes = vec![through.clone()];
    manifest.stages.push(second);
    manifest.partitions.insert(through.clone(), 1);
    append(&log, "in", 0, &[("k", Some("1"))]);

    let mut question = CatchUp::new(&log, &manifest).unwrap();
    append(&log, "in", 0, &[("late", Some("1"))]);
    let progress = question.check(DEADLINE).unwrap();
    assert_eq!((progress.behind, progress.caught_up()), (1, false), "what came after the question does not count");

    // The second stage has read all there is, and still can't have caught up: the first has more to send it.
    append(&log, &through, 0, &[("k", Some("1"))]);
    commit(&log, "sums-v1", &[(&through, 0, 1)]);
    let progress = question.check(DEADLINE).unwrap();
    assert!(!progress.caught_up());
    assert!(!progress.inputs.iter().find(|input| input.topic == through).unwrap().settled);

    append(&log, &through, 0, &[("k", Some("2"))]);
    commit(&log, "sums-v1", &[("in", 0, 1)]);
    let progress = question.check(DEADLINE).unwrap();
    assert_eq!((progress.behind, progress.caught_up()), (1, false));
    assert_eq!(progress.lag_by_topic(), [(through.as_str(), 1)]);

    append(&log, &through, 0, &[("k", Some("3"))]);
    commit(&log, "sums-v1", &[(&through, 0, 2)]);
    let progress = question.check(DEADLINE).unwrap();
    assert!(progress.caught_up(), "{progress}");
    assert_eq!(progress.to_string(), "caught up");
    assert_eq!(caught_up(&log, &manifest, DEADLINE).unwrap().behind, 2, "asked anew, the newer records count");
    question.put_again().unwrap();
    assert_eq!(question.check(DEADLINE).unwrap().behind, 2, "put again, they count too");
}

#[cfg(feature = "testing")]
mod faults {
    use super::*;
    use kappa_core::log::LogError;
    use kappa_core::log::embedded::{EmbeddedLog, Fault, FaultPlan, Operation};

    const WRITER: &str = "kappa-registry-writer";

    fn faulty() -> (kappa_core::log::SharedLog, std::sync::Arc<FaultPlan>) {
        let (log, plan) = (EmbeddedLog::new(), FaultPlan::new());
        log.set_faults(plan.clone());
        (log.shared(), plan)
    }

    #[test]
    fn a_commit_without_an_answer_is_settled_and_written_once() {
        let (log, plan) = faulty();
        let mut registry = running(&log, &["sums-v1", "sums-v2"]);
        plan.strike(WRITER, Operation::Commit, 0, 1, Fault::LoseAnswer);
        let promoted = registry.promote(&app("sums"), Version(2), 20).unwrap();
        assert_eq!((promoted.changed, promoted.revision), (true, 2));
        plan.strike(WRITER, Operation::Commit, 0, 1, Fault::LoseAnswer);
        let back = registry.rollback(&app("sums"), 30).unwrap();
        assert_eq!((back.changed, back.revision), (true, 3));
        plan.strike(WRITER, Operation::Commit, 0, 1, Fault::LoseAnswer);
        registry.register(&manifest(&log, "sums-v3")).unwrap();
        assert_eq!(registry.snapshot().unwrap().view_map.revision, 3);
    }

    #[test]
    fn a_writer_overtaken_before_its_commit_starts_over() {
        let (log, plan) = faulty();
        let mut registry = running(&log, &["sums-v1", "sums-v2"]);
        let fenced = LogError::ProducerFenced { operation: "commit", reason: "test".into() };
        plan.strike(WRITER, Operation::Commit, 0, 3, Fault::Fail(fenced.clone()));
        assert_eq!(registry.promote(&app("sums"), Version(2), 20).unwrap().revision, 2);
        plan.strike(WRITER, Operation::Commit, 0, u32::MAX, Fault::Fail(fenced));
        let error = registry.rollback(&app("sums"), 30).unwrap_err();
        assert!(matches!(error, RegistryError::Contended { .. }), "{error}");
        plan.heal();
        assert_eq!(live(&mut registry, "sums"), Some(Version(2)));
    }

    #[test]
    fn a_writer_sees_a_commit_whose_marker_is_late() {
        let (log, plan) = faulty();
        drop(running(&log, &["sums-v1", "sums-v2", "sums-v3"]));
        let mut second = registry(&log, "second");
        let seen = second.snapshot().unwrap();
        plan.delay_markers(REGISTRY, 300);
        let mut first = log.append(options(Some(WRITER))).unwrap();
        first.init(DEADLINE).unwrap();
        first.begin().unwrap();
        let map =
            r#"{"format":1,"revision":2,"by":"first","at_ms":0,"apps":{"sums":{"live":2,"revision":2}},"views":{}}"#;
        put(first.as_mut(), REGISTRY, 0, &[("view-map", Some(map))]);
        first.commit().unwrap();
        let lost = second.promote_from(&seen, &app("sums"), Version(3), 20).unwrap_err();
        assert!(matches!(&lost, RegistryError::Lost { revision: 2, by, .. } if by == "first"), "{lost}");
    }

    #[test]
    fn late_markers_hide_nothing_from_a_writer() {
        let (log, plan) = faulty();
        let mut first = running(&log, &["sums-v1", "sums-v2", "sums-v3"]);
        let mut second = registry(&log, "second");
        plan.delay_markers(REGISTRY, 400);
        assert_eq!(first.promote(&app("sums"), Version(2), 20).unwrap().revision, 2);
        assert_eq!(second.rollback(&app("sums"), 21).unwrap().revision, 3);
        assert_eq!(first.promote(&app("sums"), Version(3), 22).unwrap().revision, 4);
    }
}
