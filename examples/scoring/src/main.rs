//! Payments scored by a service over HTTP: asynchronous operators, exactly once for what kappa writes.
//!
//! Runs by itself, with the service and an embedded log in this process.

#![allow(unreachable_pub, reason = "a program has no public interface; pub reads better than pub(crate) in an example")]

mod app;
mod service;

use app::{CONCURRENCY, Payment, Scored};
use kappa_core::codec::{Codec, json, utf8};
use kappa_core::log::embedded::EmbeddedLog;
use kappa_core::log::{
    AppendBatch, AppendOptions, Assignment, CleanupPolicy, FetchOptions, Headers, Isolation, PARTITION_BYTES_LEAN,
    SharedLog, Start, TopicPartition, TopicSpec,
};
use kappa_core::{App, Runtime, Settings, Version, partitioner};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const PAYMENTS: u64 = 5_000;
const PARTITIONS: i32 = 4;
const DEADLINE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), Box<dyn Error>> {
    let service = service::start()?;
    let log: SharedLog = Arc::new(EmbeddedLog::new());
    for name in ["payments", "scored", "suspicious"] {
        let (name, cleanup, settings) = (name.to_owned(), CleanupPolicy::Delete, vec![]);
        let spec = TopicSpec { name, partitions: PARTITIONS, replication_factor: None, cleanup, settings };
        log.topics()?.create(&spec)?;
    }
    pay(&log)?;
    println!(
        "{PAYMENTS} payments wait; the service at {} takes 10 ms for each, and is busy now and then",
        service.address
    );
    let began = Instant::now();
    let app = App::new("scoring", Version(1), app::topology(service.address.clone())?)?;
    let running = Runtime::new(Arc::clone(&log), Settings::default()).start(&app)?;
    let mut scored = 0;
    while scored < PAYMENTS {
        if began.elapsed() > DEADLINE || running.status().failed {
            running.stop(DEADLINE)?;
            return Err(format!("only {scored} of {PAYMENTS} payments were scored").into());
        }
        scored = read(&log, "scored")?.len() as u64;
    }
    let took = began.elapsed();
    running.stop(DEADLINE)?;

    let asked = service.requests.load(Ordering::Relaxed);
    println!(
        "{scored} are scored after {:.1} s, with {asked} requests: {} were made again",
        took.as_secs_f64(),
        asked - PAYMENTS
    );
    println!(
        "one at a time it would have taken {:.0} s; {CONCURRENCY} at a time in each of {PARTITIONS} tasks were allowed",
        PAYMENTS as f64 * 0.01
    );
    let suspicious = read(&log, "suspicious")?;
    let most = suspicious.iter().max_by(|a, b| a.score.total_cmp(&b.score)).ok_or("none is suspicious")?;
    println!(
        "{} are suspicious, most of all {} cents from {}",
        suspicious.len(),
        most.payment.amount_cents,
        most.payment.account
    );
    if scored != PAYMENTS {
        return Err(format!("{PAYMENTS} payments, but {scored} scores").into());
    }
    println!("each payment was scored exactly once in the log");
    Ok(())
}

/// Writes the payments.
fn pay(log: &SharedLog) -> Result<(), Box<dyn Error>> {
    let mut append = log.append(AppendOptions {
        client_id: "payments".into(),
        transactional_id: None,
        transaction_timeout: Duration::from_secs(10),
        linger: Duration::ZERO,
        buffer_bytes: 16 << 20,
    })?;
    let topic = append.topic("payments", false)?;
    let mut batch = AppendBatch::default();
    for id in 0..PAYMENTS {
        let payment = Payment { account: format!("account-{}", id % 97), amount_cents: id * 7_919 % 1_000_000 };
        let (key, mut value) = (format!("payment-{id}"), Vec::new());
        json().encode(&payment, &mut value)?;
        let partition = partitioner::partition(key.as_bytes(), PARTITIONS);
        batch.push(topic, partition, id as i64, Some(key.as_bytes()), Some(&value), Headers::empty());
    }
    append.append(&batch)?;
    append.flush(DEADLINE)?;
    Ok(())
}

/// All committed records of a topic; an error where one is there twice.
fn read(log: &SharedLog, topic: &str) -> Result<Vec<Scored>, Box<dyn Error>> {
    let (client_id, isolation, buffer_bytes) = ("reader".into(), Isolation::ReadCommitted, 16 << 20);
    let wait_max = Duration::from_millis(20);
    let (ahead_records, partition_bytes) = (10_000, PARTITION_BYTES_LEAN);
    let options = FetchOptions { client_id, isolation, buffer_bytes, wait_max, ahead_records, partition_bytes };
    let mut fetch = log.fetch(options)?;
    let assignments: Vec<Assignment> = (0..PARTITIONS)
        .map(|partition| Assignment {
            partition: TopicPartition::new(topic, partition),
            start: Start::Earliest,
            token: partition as u32,
        })
        .collect();
    fetch.assign(&assignments)?;
    let (mut found, mut keys, mut ends) = (Vec::new(), std::collections::HashSet::new(), 0);
    while ends < PARTITIONS as usize {
        let polled = fetch.poll(10_000, Duration::from_millis(20))?;
        if let Some(batch) = polled.batch {
            for index in 0..batch.len() {
                let record = batch.record(index);
                let key = utf8().decode(record.key.unwrap_or_default())?;
                found.push(json().decode(record.value.unwrap_or_default())?);
                if let Some(twice) = keys.replace(key) {
                    return Err(format!("{twice} is in {topic} twice").into());
                }
            }
        }
        ends += polled.ends.len();
    }
    Ok(found)
}
