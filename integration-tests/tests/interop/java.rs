//! The Java program, one command a run, answered in JSON lines.

use super::PATIENCE;
use kappa_core::log::{Header, Headers};
use kappa_integration_tests::records::Found;
use kappa_integration_tests::{harness, wait};
use kappa_test_broker::jvm::Program;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Seek, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program and the cluster that it asks.
#[derive(Debug)]
pub(crate) struct Java {
    program: Program,
    pub(crate) brokers: String,
}

/// A run that is under way.
#[derive(Debug)]
pub(crate) struct Run {
    what: String,
    child: Child,
    output: std::fs::File,
    errors: std::fs::File,
}

/// A record for the Java producer; null keys and values are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Headers,
}

impl Sent {
    pub(crate) fn text(key: &str, value: &str, timestamp_ms: i64) -> Sent {
        let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
        Sent { timestamp_ms, key, value, headers: Headers::empty() }
    }

    fn line(&self, topic: &str) -> Value {
        let header = |header: &Header| json!([&*header.name, hex(header.value.as_deref())]);
        let headers: Vec<Value> = self.headers.as_slice().iter().map(header).collect();
        let (key, value) = (hex(self.key.as_deref()), hex(self.value.as_deref()));
        json!({"topic": topic, "timestamp": self.timestamp_ms, "key": key, "value": value, "headers": headers})
    }
}

/// A topic's settings.
#[derive(Debug)]
pub(crate) struct Configs {
    pub(crate) topic: String,
    pub(crate) partitions: i64,
    /// All of them by name.
    pub(crate) all: serde_json::Map<String, Value>,
    /// Names of those that were given when it was created.
    pub(crate) given: Vec<String>,
}

impl Java {
    /// The program and a cluster, or `None` after saying in capitals that this test is skipped.
    pub(crate) fn ready() -> Option<Java> {
        let brokers = harness::brokers()?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/src/main/java/kappa/interop");
        Some(Java { program: harness::java_program(&sources)?, brokers })
    }

    /// Sends records to topics with the Java producer as it comes; returns where each went.
    pub(crate) fn produce_all(&self, records: &[(&str, &Sent)]) -> Vec<i32> {
        let lines: Vec<Value> = records.iter().map(|(topic, sent)| sent.line(topic)).collect();
        let answers = self.start(&["produce", &self.brokers], &lines).answers();
        assert_eq!(answers.len(), records.len());
        answers.iter().map(|answer| number(answer, "partition") as i32).collect()
    }

    /// The same to one topic.
    pub(crate) fn produce(&self, topic: &str, records: &[Sent]) -> Vec<i32> {
        self.produce_all(&records.iter().map(|sent| (topic, sent)).collect::<Vec<_>>())
    }

    /// Reads topics with the Java consumer, as bytes; each topic's records in the order of its partitions.
    pub(crate) fn consume_all(&self, topics: &[String], isolation: &str) -> BTreeMap<String, Vec<Found>> {
        let mut all: BTreeMap<String, Vec<Found>> = topics.iter().map(|topic| (topic.clone(), vec![])).collect();
        for answer in self.read(topics, isolation, "bytes") {
            let found = found(&answer, unhex(&answer["key"]), unhex(&answer["value"]));
            all.entry(text(&answer, "topic")).or_default().push(found);
        }
        all
    }

    /// Reads what is committed of one topic.
    pub(crate) fn consume(&self, topic: &str) -> Vec<Found> {
        self.consume_all(&[topic.to_owned()], "read_committed").into_values().flatten().collect()
    }

    /// Reads a topic of windowed counts with Kafka's own deserializers: key, start, end and count, in the order of the topic.
    pub(crate) fn windowed(&self, topic: &str, form: &str) -> Vec<(String, i64, i64, Option<i64>)> {
        let windowed = |answer: &Value| {
            (text(answer, "key"), number(answer, "start"), number(answer, "end"), answer["value"].as_i64())
        };
        self.read(&[topic.to_owned()], "read_committed", form).iter().map(windowed).collect()
    }

    fn read(&self, topics: &[String], isolation: &str, form: &str) -> Vec<Value> {
        let mut arguments = vec!["consume", &*self.brokers, isolation, form];
        arguments.extend(topics.iter().map(String::as_str));
        self.start(&arguments, &[]).answers()
    }

    /// Windowed keys by Kafka's own serdes: `{"form", "key", "start", "end", "bytes"}` each.
    pub(crate) fn keys(&self, keys: &[Value]) -> Vec<Value> {
        self.start(&["keys"], keys).answers()
    }

    /// Topics' settings.
    pub(crate) fn configs(&self, topics: &[String]) -> Vec<Configs> {
        let mut arguments = vec!["configs", &*self.brokers];
        arguments.extend(topics.iter().map(String::as_str));
        let configs = |answer: &Value| Configs {
            topic: text(answer, "topic"),
            partitions: number(answer, "partitions"),
            all: answer["configs"].as_object().expect("settings").clone(),
            given: answer["given"]
                .as_array()
                .expect("names")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        };
        self.start(&arguments, &[]).answers().iter().map(configs).collect()
    }

    /// Where each partition of a topic begins and ends (`beginningOffsets`, `endOffsets`).
    pub(crate) fn offsets(&self, topic: &str) -> Vec<(i64, i64)> {
        let answers = self.start(&["offsets", &self.brokers, topic], &[]).answers();
        answers.iter().map(|answer| (number(answer, "beginning"), number(answer, "end"))).collect()
    }

    /// Starts a command on these lines of input.
    pub(crate) fn start(&self, arguments: &[&str], lines: &[Value]) -> Run {
        let file = || tempfile::tempfile().expect("a file");
        let (mut input, output, errors) = (file(), file(), file());
        let text = lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        });
        input.write_all(text.as_bytes()).and_then(|()| input.rewind()).expect("written");
        let clone = |file: &std::fs::File| Stdio::from(file.try_clone().expect("cloned"));
        let mut command: Command = self.program.command("kappa.interop.Main");
        command.args(arguments).stdin(input).stdout(clone(&output)).stderr(clone(&errors));
        let child = command.spawn().expect("Java starts");
        Run { what: arguments.join(" "), child, output, errors }
    }
}

impl Run {
    /// Waits for its end, which must be a good one; returns what it printed.
    pub(crate) fn answers(mut self) -> Vec<Value> {
        let ended = wait::wait_for(PATIENCE, || self.child.try_wait().expect("its state"));
        let (output, errors) = (read(&mut self.output), read(&mut self.errors));
        let status = ended.unwrap_or_else(|| panic!("`{}` did not end within {PATIENCE:?}\n{errors}", self.what));
        assert!(status.success(), "`{}`: {status}\n{errors}", self.what);
        output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(file: &mut std::fs::File) -> String {
    file.rewind().and_then(|()| std::io::read_to_string(file)).expect("read")
}

fn found(answer: &Value, key: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Found {
    let header = |header: &Value| Header {
        name: header[0].as_str().expect("a name").into(),
        value: unhex(&header[1]).map(Into::into),
    };
    Found {
        partition: number(answer, "partition") as i32,
        offset: number(answer, "offset"),
        timestamp_ms: number(answer, "timestamp"),
        key,
        value,
        headers: answer["headers"].as_array().expect("headers").iter().map(header).collect(),
    }
}

pub(crate) fn number(answer: &Value, name: &str) -> i64 {
    answer[name].as_i64().unwrap_or_else(|| panic!("no {name} in {answer}"))
}

pub(crate) fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

pub(crate) fn hex(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    })
}

pub(crate) fn unhex(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    Some((0..text.len()).step_by(2).map(byte).collect())
}
