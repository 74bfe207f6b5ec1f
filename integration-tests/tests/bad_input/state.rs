//! State directories of somebody else, and a full disk.

use super::{APP, PARTITIONS, PATIENCE, assert_says, error_of_app, last_words};
use kappa_integration_tests::harness;
use kappa_integration_tests::process::Process;
use kappa_integration_tests::totals::{Setup, end_well};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn state_of_another_topology_is_refused_and_left_alone() {
    let Some(brokers) = harness::brokers() else { return };
    let setup = Setup::new(APP, &brokers, PARTITIONS);
    setup.feed(0..200, PARTITIONS);
    let mut process = setup.start("a");
    setup.wait_exact(PATIENCE);
    end_well(&mut process);
    setup.feed(200..400, PARTITIONS);
    // The registry knows the version already …
    let error = error_of_app(&setup, |command| command.env("KAPPA_TEST_STORE", "other"));
    assert_says(&error, &[&setup.application_id(), "another topology", "raise the version"]);
    // … and where it does not, the state directory tells.
    let registry = format!("{}-another-registry", setup.app);
    let error =
        error_of_app(&setup, |command| command.env("KAPPA_TEST_STORE", "other").env("KAPPA_REGISTRY_TOPIC", registry));
    let dir = setup.state_dir("a").display().to_string();
    assert_says(&error, &["state directory", &dir, "topology", "has changed", "new version"]);
    let mut process = setup.start("a");
    setup.wait_exact(PATIENCE);
    end_well(&mut process);
    assert!(process.log().contains("state reused"), "{}", process.log());
}

#[test]
fn a_state_directory_in_use_is_refused_and_its_holder_goes_on() {
    let Some(brokers) = harness::brokers() else { return };
    let setup = Setup::new(APP, &brokers, PARTITIONS);
    setup.feed(0..200, PARTITIONS);
    let mut holder = setup.start("a");
    setup.wait_exact(PATIENCE);
    let error = error_of_app(&setup, |command| command);
    let dir = setup.state_dir("a").display().to_string();
    assert_says(&error, &[&dir, "in use by another process", &holder.id().to_string(), "KAPPA_STATE_DIR"]);
    setup.feed(200..400, PARTITIONS);
    setup.wait_exact(PATIENCE);
    end_well(&mut holder);
}

/// A small file system in memory; gone at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(at).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(at).status();
        mounted.is_ok_and(|status| status.success()).then(|| SmallDisk(at.to_owned()))
    }

    /// Takes all the room there is; returns the file that holds it.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = File::create(&ballast).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that still ends keeps it no longer than it must.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_application_and_room_mends_it() {
    let Some(brokers) = harness::brokers() else { return };
    let setup = Setup::new(APP, &brokers, PARTITIONS);
    let Some(disk) = SmallDisk::mount(&setup.dir.path().join("disk")) else {
        harness::skip("it mounts a small file system, which needs root");
        return;
    };
    let start = || {
        let mut command = setup.command("a");
        // What is committed goes to disk soon.
        command.env("KAPPA_STATE_DIR", disk.0.join("state")).env("KAPPA_TAIL_AGE_MS", "100");
        Process::start("small-disk", &mut command)
    };
    setup.feed(0..400, PARTITIONS);
    let mut process = start();
    setup.wait_exact(PATIENCE);
    let ballast = disk.fill();
    // As long as there are records there are commits, and something to write.
    let (mut next, mut status) = (400, None);
    let full = kappa_integration_tests::wait::wait_until(PATIENCE, || {
        setup.feed(next..next + 400, PARTITIONS);
        next += 400;
        status = process.exited();
        status.is_some()
    });
    assert!(full, "it goes on with a full disk\n{}", process.log());
    let log = process.log();
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{log}");
    assert_says(last_words(&log), &["state store", "no space left", "free some", "nothing is lost"]);
    fs::remove_file(ballast).expect("room again");
    let mut process = start();
    setup.wait_exact(PATIENCE);
    end_well(&mut process);
    assert!(process.log().contains("state reused"), "nothing is wiped\n{}", process.log());
    assert!(setup.differences().is_empty());
}
