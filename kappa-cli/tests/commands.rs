//! The commands on the embedded log: what they print, what they change, how they end.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

#[path = "../../kappa-core/tests/registry_support/mod.rs"]
mod registry_support;

use clap::Parser;
use kappa_cli::{Arguments, Exit, Failure, run};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::log::SharedLog;
use kappa_core::topology::{Topology, TopologyDescription};
use registry_support::*;
use std::sync::Arc;

const NOW_MS: i64 = 60_000;

fn kappa(log: &SharedLog, line: &str) -> Result<String, Failure> {
    let arguments = Arguments::try_parse_from(format!("kappa {line}").split_whitespace()).unwrap();
    let mut out = Vec::new();
    run(&arguments, &|| Ok(Arc::clone(log)), NOW_MS, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn refused(log: &SharedLog, line: &str) -> Failure {
    kappa(log, line).unwrap_err()
}

#[test]
fn status_shows_versions_lags_and_views() {
    let log = log();
    drop(running(&log, &["sums-v1", "sums-v2"]));
    append(&log, "in", 0, &[("k", Some("1")); 1_234]);
    commit(&log, "sums-v1", &[("in", 0, 1_234), ("in", 1, 0)]);
    let text = kappa(&log, "status").unwrap();
    let expected = "\
registry kappa-registry on embedded log (in memory)
revision 1, 59 s ago by setup

sums-v1  live, 59 s ago  caught up
  input  partitions     committed           end         lag
  in              2         1,234         1,234           0

sums-v2  hidden, 59 s ago  1,234 records behind
  input  partitions     committed           end         lag
  in              2             0         1,234       1,234

views
  totals  sums-v1
";
    assert_eq!(text, expected);
    let json: serde_json::Value = serde_json::from_str(&kappa(&log, "status sums --json").unwrap()).unwrap();
    assert_eq!(json["view_map"]["views"]["totals"]["serves"], "sums-v1");
    assert_eq!(json["versions"][1]["progress"]["behind"], 1_234);
    assert_eq!(json["versions"][0]["phase"], "live");
}

#[test]
fn promote_and_rollback_say_what_they_did_and_what_next() {
    let log = log();
    drop(running(&log, &["sums-v1", "sums-v2"]));
    let text = kappa(&log, "promote sums v2").unwrap();
    assert!(text.starts_with("sums-v2 is live (v1 was before; revision 2)\nreaders follow: totals\n"), "{text}");
    assert!(text.contains("kappa rollback sums"), "{text}");
    assert!(kappa(&log, "promote sums 2").unwrap().contains("live already"));
    assert!(kappa(&log, "status").unwrap().contains("totals  sums-v2  (before: sums-v1)"));
    let json: serde_json::Value = serde_json::from_str(&kappa(&log, "rollback sums --json").unwrap()).unwrap();
    assert_eq!((json["live"].as_str(), json["revision"].as_u64()), (Some("sums-v1"), Some(3)));
}

#[test]
fn refusals_change_nothing_and_have_an_exit_code_of_their_own() {
    let log = log();
    drop(running(&log, &["sums-v1", "sums-v2"]));
    append(&log, "in", 1, &[("k", Some("1"))]);
    let behind = refused(&log, "promote sums v2 --wait 0");
    assert_eq!((behind.exit, behind.kind), (Exit::Refused, "behind"));
    assert!(behind.message.starts_with("sums-v2 is 1 record behind: 1 in in"), "{behind}");
    assert!(behind.json().starts_with(r#"{"error":{"kind":"behind","message":"sums-v2 is 1 "#), "{}", behind.json());
    assert_eq!(refused(&log, "promote sums v3").kind, "unknown_version");
    assert_eq!(refused(&log, "rollback sums").kind, "nothing_to_roll_back_to");
    assert_eq!(refused(&log, "status bills").kind, "unknown_app");
    assert_eq!(refused(&log, "promote sums two").exit, Exit::Usage);
    assert!(kappa(&log, "status").unwrap().contains("revision 1,"));
}

#[test]
fn without_a_registry_nothing_is_made() {
    let log = log();
    for line in ["status", "promote sums v2", "rollback sums"] {
        let missing = refused(&log, line);
        assert_eq!((missing.exit, missing.kind), (Exit::Failed, "registry_missing"), "{line}");
    }
    assert_eq!(log.topics().unwrap().list("").unwrap(), Vec::<String>::new());
}

fn described(store: &str, filtered: bool) -> TopologyDescription {
    let mut app = Topology::builder();
    let stream = app.stream("in", utf8(), i64_be());
    let stream = if filtered { stream.filter(|_, n| *n > 0) } else { stream };
    stream.group_by_key().count(store).to("out");
    app.build().unwrap().description()
}

/// From files, without any log; and from the registry, as versions were when they first started.
#[test]
fn topologies_are_shown_and_compared() {
    let log = log();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, description: &TopologyDescription| {
        let path = directory.path().join(name);
        std::fs::write(&path, description.to_json()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (old, new) = (file("old.json", &described("counts", false)), file("new.json", &described("counts", true)));
    let unreachable = || -> Result<SharedLog, Failure> { panic!("files need no log") };
    let offline = |line: &str| {
        let arguments = Arguments::try_parse_from(format!("kappa {line}").split_whitespace()).unwrap();
        let mut out = Vec::new();
        run(&arguments, &unreachable, NOW_MS, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    let text = offline(&format!("topology diff {old} {new}")).unwrap();
    let expected = "+ operator in.filter\n    behind in.source\n    it keeps no state\ncan run as the same version: ";
    assert!(text.starts_with(expected), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&offline(&format!("topology diff {old} {new} --json")).unwrap()).unwrap();
    assert_eq!((&json["verdict"], &json["changes"][0]["kind"]), (&"in-place".into(), &"added".into()));
    assert_eq!(offline(&format!("topology show {new}")).unwrap(), described("counts", true).to_string());
    assert!(offline(&format!("topology show {new} --format svg")).unwrap().starts_with("<svg "));
    assert!(offline(&format!("topology show {new} --format mermaid")).unwrap().starts_with("flowchart LR"));
    assert_eq!(offline(&format!("topology show {new} --format json")).unwrap(), described("counts", true).to_json());

    let manifest = manifest(&log, "sums-v1").with_topology(Some(described("sums", false)));
    registry(&log, "setup").register(&manifest).unwrap();
    let text = kappa(&log, &format!("topology diff sums-v1 {old}")).unwrap();
    assert!(text.starts_with("+ store counts\n") && text.contains("\n- store sums\n"), "{text}");
    assert!(text.contains("needs a new version"), "{text}");
    let failure = refused(&log, "topology show sums-v9");
    assert!(failure.message.contains("registered: v1"), "{failure}");
    assert_eq!(refused(&log, "topology show nothing").exit, Exit::Usage);
}
