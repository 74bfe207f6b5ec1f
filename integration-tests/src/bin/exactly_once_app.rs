//! The application that the tests disturb: counts and sums payments per account, exactly once.
//!
//! ```text
//! exactly-once-app BROKERS NAME INPUT OUTPUT     settings from KAPPA_*, log lines to standard error, RUST_LOG as usual
//! ```
//! Ends well (exit code 0) at ctrl-C and SIGTERM.

use kappa_core::app::{App, Version};
use kappa_core::runtime::{Runtime, Settings};
use kappa_integration_tests::exactly_once::{connect, topology};
use std::error::Error;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, name, input, output] = arguments.as_slice() else {
        eprintln!("usage: exactly-once-app BROKERS NAME INPUT OUTPUT");
        return ExitCode::from(2);
    };
    match run(brokers, name, input, output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(brokers: &str, name: &str, input: &str, output: &str) -> Result<(), Box<dyn Error>> {
    let app = App::new(name, Version(1), topology::topology(input, output)?)?;
    Runtime::new(connect(brokers), Settings::from_env()?).run(app).await?;
    Ok(())
}
