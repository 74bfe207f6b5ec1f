//! Starts real brokers: what the other crates' tests against Kafka rest on.

use kappa_test_broker::wait::wait_until;
use kappa_test_broker::{Options, harness, probe};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(2);

#[test]
fn a_killed_node_is_gone_and_comes_back_on_its_port() {
    let Some(mut broker) = harness::own_broker(&Options { sasl: true, ..Options::default() }) else { return };
    let address = broker.bootstrap();
    let nodes = probe::metadata(&address, SOON).expect("a started broker answers");
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].address, address, "clients are sent to where they began");

    broker.kill_node(0).expect("killed");
    assert!(probe::metadata(&address, SOON).is_err(), "a killed broker answers nothing");
    broker.restart_node(0).expect("restarted");
    assert_eq!(probe::metadata(&address, SOON).expect("answers again"), nodes);

    broker.pause_node(0).expect("frozen");
    assert!(probe::metadata(&address, Duration::from_millis(300)).is_err(), "a frozen broker answers nothing");
    broker.resume_node(0).expect("goes on");
    assert!(wait_until(Duration::from_secs(20), || probe::metadata(&address, SOON).is_ok()));

    let sasl = broker.sasl_bootstrap().expect("asked for");
    assert_ne!(sasl, address);
    assert!(std::net::TcpStream::connect(sasl).is_ok(), "the SASL listener is open");
    drop(broker);
    assert!(probe::metadata(&address, SOON).is_err(), "a dropped broker is gone");
}

#[test]
fn three_nodes_go_on_when_one_is_killed() {
    let Some(mut broker) = harness::own_broker(&Options { nodes: 3, ..Options::default() }) else { return };
    let addresses: Vec<String> = broker.bootstrap().split(',').map(str::to_owned).collect();
    assert_eq!(addresses.len(), 3);
    broker.kill_node(1).expect("killed");
    let knows_two = || probe::metadata(&addresses[2], SOON).is_ok_and(|nodes| nodes.len() == 2);
    assert!(wait_until(Duration::from_secs(60), knows_two), "the others notice");
    broker.restart_node(1).expect("restarted");
    // On a busy machine a live node can count as dead for a moment.
    let knows_three = || probe::metadata(&addresses[1], SOON).is_ok_and(|nodes| nodes.len() == 3);
    assert!(wait_until(Duration::from_secs(60), knows_three), "all three are known again");
}
