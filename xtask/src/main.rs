//! All set-up of the repository in plain Rust: `cargo xtask` prints what there is.

mod arguments;
mod bench;
mod check;
mod cluster;
mod demo;
mod deny;
mod guard;
mod kafka;
mod oracle;
mod report;
mod run;
mod setup;
mod test;
mod tidy;

use arguments::Arguments;
use std::process::ExitCode;

/// What ends a command early: a text for the user that says the next step.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
cargo xtask COMMAND

  demo [--kafka | --brokers HOST:PORT]   the flights example: v1, its replay as v2, the switch and the way back;
                                         on an in-process log, or on a real Kafka with separate processes
  test [--test PROGRAM]... [FILTER...]   all tests, those against a real Kafka included; or those of one file in a
                                         `tests` folder; or those whose names hold a filter
  check                                  formatting, lints, documentation, licences and advisories, tidiness
  soak [FILTER...]                       the long tests (named soak_*) against a real Kafka
  bench [ARGUMENTS...]                   the benchmarks, ours and the JVM peer, on one broker
  guard [--bless] [--only NAME,...]      instructions of the core step (valgrind) against benchmarks/guard.baseline
  oracle [--seed S] [--scenarios N] [--topology NAME] [--show N] | oracle --record NAME N [--seed S]
                                         random scenarios through Kafka Streams and through kappa, compared record by
                                         record; or recorded as vectors that are checked without Java
  setup                                  checks for what a full build needs and installs it, or says the command
  kafka up [--nodes 1|3] [--version V] [--port N] [--sasl]
  kafka down | status                    a Kafka that stays up, without Docker

Environment:
  KAPPA_TEST_BROKERS=HOST:PORT    tests use this cluster instead of starting one
  KAPPA_TEST_KAFKA_VERSION=3.9.1  the Kafka version that is started (4.3.0)
  KAPPA_TEST_CONTAINER=redpanda   tests run on a container: kafka or redpanda
  KAPPA_ORACLE_DIR                where the judge's sources are (../shared/oracle)
  CARGO_TARGET_DIR                where everything is built
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let mut arguments = Arguments::new(words.collect());
    // The bench has options of its own to tell of.
    if command != "bench" && (arguments.flag("--help") || arguments.flag("-h")) {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let result = match command.as_str() {
        "bench" => bench::bench(arguments),
        "check" => check::check(arguments),
        "demo" => demo::demo(arguments),
        "guard" => guard::guard(arguments),
        "kafka" => kafka::kafka(arguments),
        "oracle" => oracle::oracle(arguments),
        "setup" => setup::setup(arguments),
        "soak" => bench::soak(arguments),
        "test" => test::test(arguments),
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("there is no command `{other}`\n\n{USAGE}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}
