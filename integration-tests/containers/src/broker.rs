//! Brokers in containers, for machines with a Docker engine.

use kappa_test_broker::{harness, ports, probe, wait};
use std::time::Duration;
use testcontainers::core::{ContainerPort, IntoContainerPort, WaitFor};
use testcontainers::runners::SyncRunner;
use testcontainers::{Container, ContainerRequest, GenericImage, ImageExt};

/// The port that clients use inside the container.
const PORT: ContainerPort = ContainerPort::Tcp(9092);
/// The image may have to be pulled first; this is for the broker alone.
const READY: Duration = Duration::from_secs(120);
/// Redpanda's version.
const REDPANDA: &str = "v25.2.1";

/// Which broker runs in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Apache Kafka, in the version of [`harness::kafka_version`].
    Kafka,
    /// Redpanda.
    Redpanda,
}

impl Kind {
    /// As `KAPPA_TEST_CONTAINER` says; Kafka if it says nothing. An unknown name is returned as the error.
    pub(crate) fn from_env() -> Result<Kind, String> {
        match std::env::var("KAPPA_TEST_CONTAINER").unwrap_or_default().as_str() {
            "" | "kafka" => Ok(Kind::Kafka),
            "redpanda" => Ok(Kind::Redpanda),
            other => Err(other.to_owned()),
        }
    }
}

/// A broker in a container; dropping it removes the container.
#[derive(Debug)]
pub(crate) struct ContainerBroker {
    address: String,
    _container: Container<GenericImage>,
}

impl ContainerBroker {
    /// Starts one and waits until it answers with its metadata.
    pub(crate) fn start(kind: Kind) -> Result<ContainerBroker, Box<dyn std::error::Error>> {
        // Chosen by us, because the broker must be told what clients will dial.
        let port = ports::free().ok_or("there is no free port")?;
        let request = match kind {
            Kind::Kafka => kafka(port),
            Kind::Redpanda => redpanda(port),
        };
        let container = request.with_mapped_port(port, PORT).with_startup_timeout(READY).start()?;
        let address = format!("127.0.0.1:{port}");
        let answers = || probe::metadata(&address, Duration::from_secs(2)).is_ok_and(|nodes| !nodes.is_empty());
        if !wait::wait_until(READY, answers) {
            return Err(format!("the container runs but no broker answers at {address}").into());
        }
        Ok(ContainerBroker { address, _container: container })
    }

    /// Where clients reach it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

fn kafka(port: u16) -> ContainerRequest<GenericImage> {
    GenericImage::new("apache/kafka", &harness::kafka_version())
        .with_exposed_port(PORT)
        .with_wait_for(WaitFor::message_on_stdout("Kafka Server started"))
        .with_env_var("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env_var("KAFKA_NODE_ID", "1")
        .with_env_var("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env_var("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env_var("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093")
        .with_env_var("KAFKA_ADVERTISED_LISTENERS", format!("PLAINTEXT://127.0.0.1:{port}"))
        .with_env_var("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT")
        .with_env_var("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env_var("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env_var("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        .with_env_var("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1")
        .with_env_var("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1")
        .with_env_var("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        .with_env_var("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env_var("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
        .with_env_var("KAFKA_LOG_CLEANER_BACKOFF_MS", "200")
        .with_env_var("KAFKA_LOG_CLEANER_MIN_CLEANABLE_RATIO", "0.01")
}

fn redpanda(port: u16) -> ContainerRequest<GenericImage> {
    let address = format!("127.0.0.1:{port}");
    let command = [
        "redpanda",
        "start",
        "--mode=dev-container",
        "--smp=1",
        "--memory=1G",
        "--kafka-addr=0.0.0.0:9092",
        &format!("--advertise-kafka-addr={address}"),
        "--set=redpanda.auto_create_topics_enabled=false",
        "--set=redpanda.group_initial_rebalance_delay=0",
        "--set=redpanda.group_min_session_timeout_ms=1000",
    ];
    GenericImage::new("redpandadata/redpanda", REDPANDA)
        .with_exposed_port(9092.tcp())
        .with_wait_for(WaitFor::message_on_stderr("Successfully started Redpanda"))
        .with_cmd(command)
}
