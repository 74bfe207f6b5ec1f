//! The application under test: adds numbers up by group, through a repartition topic, in a store.
//!
//! Input: key any text, value an `i64`. Output: for each of [`GROUPS`] groups (value modulo), count and sum of its values. What the
//! output must be is computed here from the input alone, without kappa.

use crate::process::Process;
use crate::records::{Found, Writer, read_all};
use kappa_core::codec::{i64_be, json, utf8};
use kappa_core::log::SharedLog;
use kappa_core::topology::{Topology, TopologyBuilder, TopologyError};
use kappa_test_broker::wait::wait_until;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How many groups there are.
pub const GROUPS: i64 = 40;

/// What is known of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// How many numbers.
    pub count: i64,
    /// Their sum.
    pub sum: i64,
}

/// The topology; `store` names the store, and so decides the fingerprint.
///
/// # Errors
/// None that could be mended here.
pub fn topology(input: &str, output: &str, store: &str) -> Result<Topology, TopologyError> {
    summing(Topology::builder(), input, output, store)
}

/// The same, with parking.
///
/// # Errors
/// None that could be mended here.
pub fn parking(input: &str, output: &str, store: &str) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    app.park_failed_keys();
    summing(app, input, output, store)
}

fn summing(mut app: TopologyBuilder, input: &str, output: &str, store: &str) -> Result<Topology, TopologyError> {
    app.stream(input, utf8(), i64_be())
        .select_key(utf8(), |_, number| group_of(*number))
        .group_by_key()
        .aggregate(store, json(), Totals::default, |_, number, totals| Totals {
            count: totals.count + 1,
            sum: totals.sum + number,
        })
        .to(output);
    app.build()
}

/// The input joined with a table: both must have equally many partitions.
///
/// # Errors
/// None that could be mended here.
pub fn joined(input: &str, table: &str, output: &str) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let factors = app.table(table, utf8(), i64_be());
    app.stream(input, utf8(), i64_be())
        .join(&factors, |number, factor| number * factor)
        .with_value_codec(i64_be())
        .to(output);
    app.build()
}

fn group_of(number: i64) -> String {
    format!("group-{}", number.rem_euclid(GROUPS))
}

/// Adds number `n` to the input, on one of `partitions` partitions.
pub fn put(writer: &mut Writer, n: u64, partitions: i32) {
    let key = format!("key-{n}");
    let partition = (n % partitions as u64) as i32;
    writer.put(partition, 1_000 + n as i64, Some(key.as_bytes()), Some(&(n as i64).to_be_bytes()));
}

/// What must be true of the output at the end, computed from the input as it is in the log. Values that are no numbers don't
/// count.
pub fn expected(log: &SharedLog, input: &str) -> BTreeMap<String, Totals> {
    let mut expected: BTreeMap<String, Totals> = BTreeMap::new();
    for record in read_all(log, input) {
        let Some(Ok(bytes)) = record.value.as_deref().map(<[u8; 8]>::try_from) else { continue };
        let number = i64::from_be_bytes(bytes);
        let totals = expected.entry(group_of(number)).or_default();
        totals.count += 1;
        totals.sum += number;
    }
    expected
}

/// For each group, all that a read_committed reader of the output has ever seen, in order.
///
/// # Panics
/// When the output holds what the application can't have written.
pub fn histories(log: &SharedLog, output: &str) -> BTreeMap<String, Vec<Totals>> {
    histories_of(read_all(log, output))
}

/// The same of what any reader has seen.
///
/// # Panics
/// When it is what the application can't have written.
pub fn histories_of(records: Vec<Found>) -> BTreeMap<String, Vec<Totals>> {
    let mut histories: BTreeMap<String, Vec<Totals>> = BTreeMap::new();
    for record in records {
        let group = String::from_utf8(record.key.expect("a key")).expect("text");
        // `{"count":1,"sum":2}`, read without the codec that wrote it.
        let text = String::from_utf8(record.value.expect("a value")).expect("text");
        let numbers: Vec<i64> = text
            .split(|c: char| !c.is_ascii_digit() && c != '-')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().expect("a number"))
            .collect();
        let [count, sum] = numbers[..] else { panic!("{text}") };
        histories.entry(group).or_default().push(Totals { count, sum });
    }
    histories
}

/// How an output differs from what it must be; empty when it does not.
pub fn differences(histories: &BTreeMap<String, Vec<Totals>>, expected: &BTreeMap<String, Totals>) -> Vec<String> {
    let mut differences = Vec::new();
    for (group, totals) in expected {
        let last = histories.get(group).and_then(|history| history.last());
        if last != Some(totals) {
            differences.push(format!("{group} is {last:?}, not {totals:?}"));
        }
    }
    for (group, history) in histories {
        if !expected.contains_key(group) {
            differences.push(format!("{group} is none of the input's"));
        }
        if let Some(pair) = history.windows(2).find(|pair| pair[0].count >= pair[1].count) {
            differences.push(format!("{group} went from {:?} to {:?}", pair[0], pair[1]));
        }
    }
    differences
}

/// Topics and names of one application under test.
#[derive(Debug)]
pub struct Setup {
    /// The program (`env!("CARGO_BIN_EXE_totals-app")`).
    pub program: PathBuf,
    /// The cluster's addresses.
    pub brokers: String,
    /// The cluster.
    pub log: SharedLog,
    /// The application's name; its version is 1.
    pub app: String,
    /// The input topic.
    pub input: String,
    /// The output topic.
    pub output: String,
    /// A folder for state and for orders to freeze; gone at the end.
    pub dir: tempfile::TempDir,
}

impl Setup {
    /// Names of its own, on that cluster; both topics are created with that many partitions.
    ///
    /// # Panics
    /// When the topics can't be created.
    #[cfg(feature = "kafka")]
    pub fn new(program: &str, brokers: &str, partitions: i32) -> Setup {
        use crate::records::create_topic;
        let setup = Setup::without_topics(program, brokers);
        create_topic(&setup.log, &setup.input, partitions);
        create_topic(&setup.log, &setup.output, partitions);
        setup
    }

    /// The same with neither topic.
    ///
    /// # Panics
    /// When there is no room for a folder.
    #[cfg(feature = "kafka")]
    pub fn without_topics(program: &str, brokers: &str) -> Setup {
        use kappa_test_broker::harness::unique;
        Setup {
            program: program.into(),
            brokers: brokers.to_owned(),
            log: crate::records::kafka(brokers),
            app: unique("totals"),
            input: unique("numbers"),
            output: unique("sums"),
            dir: tempfile::tempdir().expect("a folder"),
        }
    }

    /// The consumer group, and the prefix of all its topics.
    pub fn application_id(&self) -> String {
        format!("{}-v1", self.app)
    }

    /// The topic between the two sub-topologies.
    pub fn repartition(&self) -> String {
        format!("{}-totals-repartition", self.application_id())
    }

    /// How long a process may be silent before its tasks are given away: `KAPPA_TEST_SESSION_MS`, else 3 s.
    pub fn session(&self) -> Duration {
        let given = std::env::var("KAPPA_TEST_SESSION_MS").ok().and_then(|text| text.parse().ok());
        Duration::from_millis(given.unwrap_or(3_000))
    }

    /// The command of a process called `instance`, with a state directory of its own and quick sessions.
    pub fn command(&self, instance: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KAPPA_BROKERS", &self.brokers)
            .env("KAPPA_STATE_DIR", self.state_dir(instance))
            .env("KAPPA_REGISTRY_TOPIC", format!("{}-registry", self.app))
            .env("KAPPA_SESSION_TIMEOUT_MS", self.session().as_millis().to_string())
            .env("KAPPA_HEARTBEAT_INTERVAL_MS", "500")
            .env("KAPPA_REVOKE_WAIT_MS", "2000")
            .env("KAPPA_TEST_APP", &self.app)
            .env("KAPPA_TEST_INPUT", &self.input)
            .env("KAPPA_TEST_OUTPUT", &self.output);
        command
    }

    /// Where a process keeps its state.
    pub fn state_dir(&self, instance: &str) -> PathBuf {
        self.dir.path().join(format!("state-{instance}"))
    }

    /// The folder through which that process is told to freeze.
    pub fn orders(&self, instance: &str) -> PathBuf {
        self.dir.path().join(format!("orders-{instance}"))
    }

    /// Starts a process.
    pub fn start(&self, instance: &str) -> Process {
        Process::start(instance, &mut self.command(instance))
    }

    /// Appends the numbers of a range, spread over the partitions.
    pub fn feed(&self, range: std::ops::Range<u64>, partitions: i32) {
        let mut writer = Writer::open(&self.log, &self.input);
        range.for_each(|n| put(&mut writer, n, partitions));
        writer.flush();
    }

    /// How the output differs from what the input asks for.
    pub fn differences(&self) -> Vec<String> {
        differences(&histories(&self.log, &self.output), &expected(&self.log, &self.input))
    }

    /// Waits until the output is exact.
    ///
    /// # Panics
    /// When it is not, within the deadline.
    pub fn wait_exact(&self, deadline: Duration) {
        let expected = expected(&self.log, &self.input);
        let mut last = Vec::new();
        let exact = wait_until(deadline, || {
            last = differences(&histories(&self.log, &self.output), &expected);
            last.is_empty()
        });
        assert!(exact, "not exact within {deadline:?}; {} differences, {:?}", last.len(), &last[..last.len().min(5)]);
    }
}

/// Asks a process to end, and demands that it ends well.
///
/// # Panics
/// When it does not.
pub fn end_well(process: &mut Process) {
    process.terminate();
    let status = process.wait_exit(Duration::from_secs(40));
    assert!(status.success(), "{status}\n{}", process.log());
}
