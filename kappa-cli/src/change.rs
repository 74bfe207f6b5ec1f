//! `kappa promote` and `kappa rollback`.

use crate::{Arguments, Failure};
use kappa_core::app::{AppName, Version};
use kappa_core::log::SharedLog;
use kappa_core::registry::{Promotion, Registry, RegistryError, RegistryReader, RegistrySettings};
use std::io::Write;
use std::time::Duration;

pub(crate) fn promote(
    arguments: &Arguments,
    log: &SharedLog,
    (app, version, wait_s): (&str, &str, u64),
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let app = AppName::new(app).map_err(RegistryError::Name)?;
    let version: Version = version.parse().map_err(RegistryError::Name)?;
    let mut registry = open(arguments, log, Duration::from_secs(wait_s))?;
    let promotion = registry.promote(&app, version, now_ms)?;
    if arguments.json {
        return json(&promotion, out);
    }
    if !promotion.changed {
        writeln!(out, "{} is live already (revision {}); nothing was changed", promotion.live, promotion.revision)?;
        return Ok(());
    }
    tell(&promotion, out)?;
    if let Some(before) = promotion.before {
        writeln!(out, "`kappa rollback {app}` goes back to {before}, as long as it keeps running")?;
    }
    Ok(())
}

pub(crate) fn rollback(
    arguments: &Arguments,
    log: &SharedLog,
    app: &str,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let app = AppName::new(app).map_err(RegistryError::Name)?;
    let promotion = open(arguments, log, Duration::ZERO)?.rollback(&app, now_ms)?;
    if arguments.json {
        return json(&promotion, out);
    }
    tell(&promotion, out)?;
    if let Some(before) = promotion.before {
        writeln!(out, "`kappa promote {app} {before}` sends them to {before} again")?;
    }
    Ok(())
}

/// Opens the registry, which must be there: a command of an operator creates none.
fn open(arguments: &Arguments, log: &SharedLog, promote_wait: Duration) -> Result<Registry, Failure> {
    let settings = RegistrySettings { topic: arguments.registry.clone(), promote_wait, ..RegistrySettings::default() };
    RegistryReader::open(log, &settings.topic, settings.deadline)?.close(settings.deadline)?;
    Ok(Registry::open_with(log.clone(), settings)?)
}

fn tell(promotion: &Promotion, out: &mut dyn Write) -> Result<(), Failure> {
    let before = promotion.before.map_or_else(|| "none was".to_owned(), |version| format!("{version} was before"));
    writeln!(out, "{} is live ({before}; revision {})", promotion.live, promotion.revision)?;
    if promotion.views.is_empty() {
        writeln!(out, "it has no views; nobody is sent to it")?;
    } else {
        writeln!(out, "readers follow: {}", promotion.views.join(", "))?;
    }
    Ok(())
}

fn json(promotion: &Promotion, out: &mut dyn Write) -> Result<(), Failure> {
    let answer = serde_json::json!({
        "live": promotion.live,
        "before": promotion.before,
        "revision": promotion.revision,
        "views": promotion.views,
        "changed": promotion.changed,
    });
    writeln!(out, "{answer}")?;
    Ok(())
}
