//! The harness's own tests: a process is frozen, goes on, is killed, and its words are heard.

use kappa_integration_tests::process::Process;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn counter() -> Process {
    let script = "i=0; while :; do i=$((i+1)); echo count $i; sleep 0.02; done";
    Process::start("counter", Command::new("sh").args(["-c", script]))
}

#[test]
fn a_frozen_process_says_nothing_until_it_goes_on() {
    let mut process = counter();
    process.wait_line("count 3", SOON);
    process.freeze();
    // What was on its way when the signal came may still arrive; then the log stands still, for ten looks and 200 ms.
    let (mut last, mut looks) = (String::new(), 0);
    let still = kappa_integration_tests::wait::wait_until(SOON, || {
        let now = process.log();
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
        looks == 10
    });
    assert!(still, "a frozen process went on writing");
    assert!(process.exited().is_none(), "frozen is not ended");
    let count = last.lines().count();
    process.unfreeze();
    process.wait_line(&format!("count {}", count + 5), SOON);
}

#[test]
fn a_killed_process_is_gone_and_its_log_can_be_read() {
    let mut process = counter();
    process.wait_line("count 1", SOON);
    let status = process.kill();
    assert!(!status.success());
    assert!(process.log().starts_with("count 1\n"));
    assert_eq!(process.kill(), status, "killing twice does no harm");
}

#[test]
fn a_frozen_process_ends_with_its_handle() {
    let process = counter();
    process.freeze();
    let (id, log) = (process.id(), process.log_path().to_path_buf());
    drop(process);
    assert!(!kappa_test_broker::signal::is_running(id, "count"));
    assert!(!log.exists());
}

#[test]
#[should_panic(expected = "ended without saying `ready`")]
fn an_early_end_is_noticed_at_once() {
    let mut process = Process::start("early", Command::new("sh").args(["-c", "echo steady; exit 3"]));
    process.wait_line("ready", Duration::from_secs(600));
}
