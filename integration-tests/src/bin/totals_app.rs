//! The application under test as a program: settings from `KAPPA_*`, what the test wants from `KAPPA_TEST_*`.

use kappa_core::app::{App, Version};
use kappa_core::log::SharedLog;
use kappa_core::log::kafka::{KafkaLog, KafkaSettings};
use kappa_core::runtime::{Rule, Rules, Runtime, Settings};
use kappa_integration_tests::pausing::PausingLog;
use kappa_integration_tests::totals;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let input = wanted("KAPPA_TEST_INPUT")?;
    let output = wanted("KAPPA_TEST_OUTPUT")?;
    let store = variable("KAPPA_TEST_STORE").unwrap_or_else(|| "totals".into());
    let topology = match variable("KAPPA_TEST_TABLE") {
        Some(table) => totals::joined(&input, &table, &output)?,
        None if variable("KAPPA_TEST_PARKS").is_some() => totals::parking(&input, &output, &store)?,
        None => totals::topology(&input, &output, &store)?,
    };
    let app = App::new(&wanted("KAPPA_TEST_APP")?, Version(1), topology)?;
    let mut settings = Settings::from_env()?;
    if let Some(name) = variable("KAPPA_TEST_RULE_OFF") {
        settings.rules = Rules::without(rule(&name)?);
    }
    let mut log: SharedLog = Arc::new(KafkaLog::connect(KafkaSettings::from_env()?)?);
    if let Some(dir) = variable("KAPPA_TEST_ORDERS") {
        log = Arc::new(PausingLog::new(log, Path::new(&dir), &app.id().to_string()));
    }
    Ok(Runtime::new(log, settings).run(app).await?)
}

fn rule(name: &str) -> Result<Rule, Failure> {
    match name {
        "fence-by-epoch" => Ok(Rule::FenceByEpoch),
        "restore-to-high-watermark" => Ok(Rule::RestoreToHighWatermark),
        _ => Err(format!("there is no rule `{name}`").into()),
    }
}

fn wanted(name: &str) -> Result<String, Failure> {
    variable(name).ok_or_else(|| format!("{name} is not set").into())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
