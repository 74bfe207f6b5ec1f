//! Holds a broker in a container for as long as its own input is open, and says where it is: so a program that is built in
//! seconds can use containers without being built with their client.

mod broker;

use broker::{ContainerBroker, Kind};
use kappa_test_broker::harness;
use std::io::Read;
use std::process::ExitCode;

fn main() -> ExitCode {
    let kind = match Kind::from_env() {
        Ok(kind) => kind,
        Err(name) => {
            eprintln!("KAPPA_TEST_CONTAINER is `{name}`: say kafka or redpanda");
            return ExitCode::FAILURE;
        }
    };
    match ContainerBroker::start(kind) {
        Ok(broker) => {
            println!("{}={}", harness::BROKERS, broker.address());
            // Ends with an end of file when the holder's holder goes away.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("no container: {error}");
            ExitCode::FAILURE
        }
    }
}
