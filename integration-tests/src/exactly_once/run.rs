//! A whole run: topics, processes, input, a live reader; disturbed by the test, judged at the end.

use super::PARTITIONS;
use super::feeder::Feeder;
use super::history::{Judge, LiveReader, doubled, read_all};
use super::member::{Member, MemberOptions};
use super::restores::{self, Restores};
use super::standstill;
use super::topology;
use super::workload::{Oracle, Workload};
use crate::harness;
use kappa_core::log::{CleanupPolicy, Isolation, LogError, OffsetSpec, SharedLog, TopicPartition, TopicSpec};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const EXIT: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(20);

/// What a run is.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Its name, in lower case.
    pub name: &'static str,
    /// The program under test, `env!("CARGO_BIN_EXE_exactly-once-app")`.
    pub program: PathBuf,
    /// The cluster.
    pub brokers: String,
    /// Processes.
    pub members: usize,
    /// Whether they keep their seats in the group over a restart.
    pub static_seats: bool,
    /// The input.
    pub workload: Workload,
    /// Input records a second.
    pub rate: u64,
    /// `KAPPA_SESSION_TIMEOUT_MS`.
    pub session_ms: u64,
    /// `KAPPA_TAIL_RECORDS`.
    pub tail_records: u64,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Records in the output's history.
    pub output_records: u64,
    /// What was restored.
    pub restores: Restores,
    /// The most that a kept store may restore.
    pub restore_bound: u64,
    /// From the first record to the last total.
    pub took: Duration,
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    options: RunOptions,
    log: SharedLog,
    input: String,
    repartition: String,
    changelog: String,
    output: String,
    group: String,
    dir: PathBuf,
    oracle: Arc<Oracle>,
    /// The processes.
    pub members: Vec<Member>,
    feeder: Feeder,
    reader: LiveReader,
    began: Instant,
}

impl Run {
    /// Creates topics, starts the processes, the input and the reader.
    ///
    /// # Panics
    /// Where that fails.
    pub fn begin(log: SharedLog, options: RunOptions) -> Run {
        let app = harness::unique(options.name);
        let (input, output) = (format!("{app}-in"), format!("{app}-out"));
        let group = format!("{app}-v1");
        let repartition = format!("{group}-{}-repartition", topology::STORE);
        let changelog = format!("{group}-{}-changelog", topology::STORE);
        create(&log, &[&input, &output]).unwrap_or_else(|error| panic!("topics of {app}: {error}"));
        let dir = std::env::temp_dir().join(&app);
        let oracle = Arc::new(Oracle::of(&options.workload));
        let member_options = MemberOptions {
            program: options.program.clone(),
            brokers: options.brokers.clone(),
            input: input.clone(),
            output: output.clone(),
            static_seat: options.static_seats,
            settings: settings(&options, &app),
            app,
        };
        let mut members: Vec<Member> =
            (0..options.members).map(|index| Member::new(index, &dir, member_options.clone())).collect();
        members.iter_mut().for_each(Member::start);
        let feeder = Feeder::start(&log, &input, options.workload, options.rate);
        let reader = LiveReader::start(&log, &output, &oracle);
        let began = Instant::now();
        Run { options, log, input, repartition, changelog, output, group, dir, oracle, members, feeder, reader, began }
    }

    /// Input records that the output accounts for by now. Also looks whether all is well so far.
    ///
    /// # Panics
    /// Where an output record was wrong, a process has ended by itself, or the input can't be written.
    pub fn look(&mut self) -> u64 {
        self.members.iter_mut().for_each(Member::check);
        self.feeder.is_done();
        self.reader.accounted().unwrap_or_else(|wrong| self.fail(&wrong))
    }

    /// Says what is wrong, and in which topic it began.
    fn fail(&self, wrong: &str) -> ! {
        for topic in [&self.input, &self.repartition] {
            match doubled(&self.log, topic) {
                Ok(records) => {
                    eprintln!("{topic} holds {} records twice", records.len());
                    records.iter().take(10).for_each(|record| eprintln!("  {record}"));
                }
                Err(problem) => eprintln!("{topic}: {problem}"),
            }
        }
        panic!("{wrong}; the logs are in {}", self.dir.display());
    }

    /// Looks on for a while.
    pub fn watch(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.look();
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the output accounts for that many input records.
    ///
    /// # Panics
    /// Where it does not within the deadline.
    pub fn wait_accounted(&mut self, records: u64, deadline: Duration) {
        let until = Instant::now() + deadline;
        let mut accounted = self.look();
        while accounted < records {
            if Instant::now() >= until {
                let fed = self.feeder.fed();
                let topics = [&self.input, &self.repartition, &self.changelog, &self.output].map(String::clone);
                panic!(
                    "the output accounts for {accounted} of {records} records after {deadline:?} ({fed} fed); the logs are in {}\n{}",
                    self.dir.display(),
                    standstill::describe(&self.log, &self.group, &topics)
                );
            }
            std::thread::sleep(LOOK);
            accounted = self.look();
        }
    }

    /// Holds the input back at that many records, until another limit is set: a stream must not end before its disturbances do.
    pub fn limit_input(&self, records: u64) {
        self.feeder.limit(records);
    }

    /// Records handed to the input so far.
    pub fn fed(&self) -> u64 {
        self.feeder.fed()
    }

    /// Waits for the last total, ends the processes and judges everything.
    ///
    /// # Panics
    /// Where anything is not as it must be.
    pub fn finish(mut self, deadline: Duration) -> Outcome {
        self.wait_accounted(self.options.workload.records, deadline);
        let took = self.began.elapsed();
        assert!(self.feeder.is_done() || self.feeder.fed() == self.options.workload.records);
        self.check_input();
        self.members.iter().for_each(Member::terminate);
        for member in &mut self.members {
            if let Some(status) = member.wait_exit(EXIT) {
                assert!(status.success(), "{} was asked to end and did so with {status}", member.name());
            }
        }
        let live = self.reader.finish().unwrap_or_else(|wrong| self.fail(&wrong));
        live.complete().unwrap_or_else(|lacking| self.fail(&lacking));
        check_history(&self.log, &self.output, &self.oracle, &live);
        let restore_bound = self.options.tail_records + self.options.workload.accounts_of_a_partition_max();
        let logs: Vec<Vec<String>> = self.members.iter().map(Member::logs).collect();
        let restores = match restores::judge(&logs, restore_bound) {
            Ok(restores) => restores,
            Err(problem) => panic!("{problem}; the logs are in {}", self.dir.display()),
        };
        drop(self.members);
        let _ = std::fs::remove_dir_all(&self.dir);
        Outcome { output_records: live.records(), restores, restore_bound, took }
    }

    /// The input holds what the oracle was computed from: no more, no less.
    fn check_input(&self) {
        let mut expected = vec![0; PARTITIONS as usize];
        for record in self.options.workload.records() {
            expected[record.partition as usize] += 1;
        }
        let wanted: Vec<(TopicPartition, OffsetSpec)> = (0..PARTITIONS)
            .map(|partition| {
                (TopicPartition::new(self.input.as_str(), partition), OffsetSpec::Latest(Isolation::ReadUncommitted))
            })
            .collect();
        let ends = self.log.topics().and_then(|mut topics| topics.offsets(&wanted));
        assert_eq!(ends.as_deref(), Ok(&*expected), "the input is not what the oracle was computed from");
    }
}

fn check_history(log: &SharedLog, output: &str, oracle: &Arc<Oracle>, live: &Judge) {
    let again = read_all(log, output, oracle).unwrap_or_else(|problem| panic!("read again: {problem}"));
    assert_eq!(live.digests(), again.digests(), "the live reader saw another history than a later one");
}

fn settings(options: &RunOptions, app: &str) -> Vec<(&'static str, String)> {
    vec![
        ("KAPPA_COMMIT_INTERVAL_MS", "100".into()),
        ("KAPPA_SESSION_TIMEOUT_MS", options.session_ms.to_string()),
        ("KAPPA_HEARTBEAT_INTERVAL_MS", (options.session_ms / 6).min(1_000).to_string()),
        ("KAPPA_REVOKE_WAIT_MS", (options.session_ms / 2).to_string()),
        ("KAPPA_TAIL_RECORDS", options.tail_records.to_string()),
        // So that records alone bound the tail.
        ("KAPPA_TAIL_AGE_MS", "3600000".into()),
        ("KAPPA_MEMORY_BYTES", (64 * 1024 * 1024).to_string()),
        ("KAPPA_REGISTRY_TOPIC", format!("{app}-registry")),
    ]
}

fn create(log: &SharedLog, names: &[&str]) -> Result<(), LogError> {
    let mut topics = log.topics()?;
    for name in names {
        topics.create(&TopicSpec {
            name: (*name).into(),
            partitions: PARTITIONS,
            replication_factor: None,
            cleanup: CleanupPolicy::Delete,
            // Nothing is to be deleted for the age of its timestamps, which are the workload's.
            settings: vec![("retention.ms".into(), "-1".into())],
        })?;
    }
    Ok(())
}
