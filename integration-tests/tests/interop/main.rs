//! Java's clients and Kafka Streams on the same topics as kappa, on a real broker: what either writes the other reads, and the same
//! program gives the same results on topics of the same settings.
//!
//! - [`java`]: the Java program of `integration-tests/interop`, one run a question.
//! - [`clients`]: from the Java producer through kappa to the Java consumer: partitions, times, headers, nulls.
//! - [`windows`]: windowed results and keys, read and written by Kafka's own serdes.
//! - [`shop`], [`contents`], [`configs`], [`changelogs`]: one application as Kafka Streams' and as kappa's, and all their topics compared.
//! - [`commits`]: what a Java `read_committed` consumer sees of an application that is killed in mid-commit.
#![cfg(feature = "kafka")]

mod changelogs;
mod clients;
#[cfg(feature = "rocksdb")]
mod commits;
mod configs;
mod contents;
mod java;
mod running;
mod shop;
mod windows;

use std::time::Duration;

/// How long anything that will happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
