//! *Kill*: processes of one application are killed with SIGKILL at random moments and started again. The output is exact at every
//! moment, and a process that comes back restores no more than the tail it had in memory.

use kappa_integration_tests::exactly_once::connect;
use kappa_integration_tests::exactly_once::run::{Outcome, Run, RunOptions};
use kappa_integration_tests::exactly_once::workload::Workload;
use kappa_integration_tests::harness;
use kappa_integration_tests::random::Random;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SESSION: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(50);

/// How a run is disturbed.
struct Plan {
    records: u64,
    rate: u64,
    kills: usize,
    /// Between two kills.
    pace: (Duration, Duration),
    /// Every so many kills the process stays away for longer than its session, so that its tasks move.
    long_every: usize,
}

#[test]
fn killed_processes_leave_an_exact_result_and_restore_only_their_tails() {
    kill(&Plan {
        records: 300_000,
        rate: 7_500,
        kills: 8,
        pace: (Duration::from_secs(2), Duration::from_secs(6)),
        long_every: 4,
    });
}

#[test]
#[ignore = "takes several minutes; run by cargo xtask soak"]
fn soak_kill() {
    kill(&Plan {
        records: 2_000_000,
        rate: 8_000,
        kills: 55,
        pace: (Duration::from_secs(2), Duration::from_secs(6)),
        long_every: 7,
    });
}

fn kill(plan: &Plan) {
    let Some(brokers) = harness::brokers() else { return };
    let mut random = Random::from_env();
    let options = RunOptions {
        name: "kill",
        program: PathBuf::from(env!("CARGO_BIN_EXE_exactly-once-app")),
        brokers: brokers.clone(),
        members: 3,
        static_seats: true,
        workload: Workload::from_now(plan.records, 4_000, random.bits()),
        rate: plan.rate,
        session_ms: SESSION.as_millis() as u64,
        tail_records: 2_000,
    };
    let mut run = Run::begin(connect(&brokers), options);
    // The first kill meets a group at work.
    run.wait_accounted(1, Duration::from_secs(60));
    disturb(&mut run, plan, &mut random);
    let outcome = run.finish(Duration::from_secs(240));
    report(plan, &outcome);
    assert!(outcome.restores.kept_with_records > 0, "no restart met a tail: the run has shown nothing");
    assert!(outcome.restores.moved + outcome.restores.new > 0, "no task moved: the run has shown too little");
}

/// Kills and restarts, until all kills are done and every process runs.
fn disturb(run: &mut Run, plan: &Plan, random: &mut Random) {
    let mut back: Vec<Option<Instant>> = vec![None; run.members.len()];
    let mut kills = 0;
    let mut next_kill = Instant::now() + random.between(plan.pace.0, plan.pace.1);
    while kills < plan.kills || back.iter().any(Option::is_some) {
        run.look();
        for (member, back) in run.members.iter_mut().zip(&mut back) {
            if back.is_some_and(|at| Instant::now() >= at) {
                member.start();
                *back = None;
            }
        }
        let up: Vec<usize> = (0..back.len()).filter(|index| back[*index].is_none()).collect();
        if kills < plan.kills && Instant::now() >= next_kill && !up.is_empty() {
            let victim = up[random.index(up.len())];
            run.members[victim].kill();
            kills += 1;
            let long = kills % plan.long_every == 0;
            let down = if long {
                SESSION + random.between(Duration::from_secs(2), Duration::from_secs(5))
            } else {
                random.between(Duration::ZERO, Duration::from_secs(1))
            };
            back[victim] = Some(Instant::now() + down);
            eprintln!(
                "kill {kills} of {}: member-{victim}, down for {:.1} s, {} records in, {} accounted for",
                plan.kills,
                down.as_secs_f64(),
                run.fed(),
                run.look()
            );
            next_kill = Instant::now() + random.between(plan.pace.0, plan.pace.1);
        }
        std::thread::sleep(LOOK);
    }
}

fn report(plan: &Plan, outcome: &Outcome) {
    println!(
        "{} kills, {} records in, {} records in the output's history, {:.0} s\n{}\na kept store may restore {} records at most",
        plan.kills,
        plan.records,
        outcome.output_records,
        outcome.took.as_secs_f64(),
        outcome.restores,
        outcome.restore_bound
    );
}
