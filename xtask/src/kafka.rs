//! `cargo xtask kafka`: a Kafka that stays up until it is told to end.

use crate::{Failure, arguments::Arguments, run, setup};
use kappa_test_broker::{Broker, Options, SASL_PASSWORD, SASL_USER, harness};
use std::time::Instant;

const USAGE: &str =
    "say `cargo xtask kafka up [--nodes 1|3] [--version V] [--port N] [--sasl]`, `kafka down` or `kafka status`";
/// Where clients expect a Kafka.
const PORT: u16 = 9092;

pub(crate) fn kafka(mut arguments: Arguments) -> Result<(), Failure> {
    match arguments.word().as_deref() {
        Some("up") => up(arguments),
        Some("down") => {
            arguments.done()?;
            down()
        }
        Some("status") => {
            arguments.done()?;
            status()
        }
        _ => Err(USAGE.into()),
    }
}

fn up(mut arguments: Arguments) -> Result<(), Failure> {
    let options = Options {
        nodes: arguments.number("--nodes")?.unwrap_or(1),
        version: arguments.value("--version")?.unwrap_or_else(harness::kafka_version),
        port: Some(arguments.number("--port")?.unwrap_or(PORT)),
        sasl: arguments.flag("--sasl"),
        properties: Vec::new(),
    };
    arguments.done()?;
    setup::for_broker()?;
    let start = Instant::now();
    let broker = Broker::start_detached(&options)?;
    println!("Kafka {} is ready after {}", options.version, run::seconds(start.elapsed()));
    println!("{}={}", harness::BROKERS, broker.bootstrap());
    if let Some(sasl) = broker.sasl_bootstrap() {
        println!("{}={sasl}", harness::SASL_BROKERS);
        println!(
            "  security.protocol=SASL_PLAINTEXT sasl.mechanism=PLAIN sasl.username={SASL_USER} sasl.password={SASL_PASSWORD}"
        );
    }
    println!("logs: {}/node-*/server.log", broker.dir().display());
    println!("end it with: cargo xtask kafka down");
    Ok(())
}

fn down() -> Result<(), Failure> {
    match Broker::stop_detached()? {
        0 => println!("no Kafka was up"),
        nodes => println!("{nodes} node{} ended, data removed", if nodes == 1 { "" } else { "s" }),
    }
    Ok(())
}

fn status() -> Result<(), Failure> {
    let Some(bootstrap) = Broker::detached_bootstrap()? else {
        println!("no Kafka is up: start one with `cargo xtask kafka up`");
        return Ok(());
    };
    println!("{}={bootstrap}", harness::BROKERS);
    for (node, pid) in Broker::detached_nodes()? {
        println!("process {pid}  {}", node.display());
    }
    for address in bootstrap.split(',') {
        match kappa_test_broker::probe::metadata(address, std::time::Duration::from_secs(2)) {
            Ok(nodes) => {
                println!("{address} answers and knows {} node{}", nodes.len(), if nodes.len() == 1 { "" } else { "s" })
            }
            Err(error) => println!("{address} does not answer: {error}"),
        }
    }
    Ok(())
}
