//! The application: each payment is scored by a service, and those that look wrong are written out.

use kappa_core::codec::{json, utf8};
use kappa_core::dsl::{AsyncOptions, CallError};
use kappa_core::{Topology, TopologyError};
use serde::{Deserialize, Serialize};

/// A payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// The account it is taken from.
    pub account: String,
    /// In cents.
    pub amount_cents: u64,
}

/// A payment with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The payment.
    pub payment: Payment,
    /// From 0, nothing unusual, to 1.
    pub score: f64,
}

/// What the service answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// From 0 to 1.
    pub score: f64,
}

/// Payments at a time that are being scored in each task.
pub const CONCURRENCY: usize = 64;
/// From this score on a payment is suspicious.
pub const SUSPICIOUS: f64 = 0.9;

/// The topology; `service` is the address of the scoring service.
pub fn topology(service: String) -> Result<Topology, TopologyError> {
    let client = reqwest::Client::new();
    let mut app = Topology::builder();
    let scored = app
        .stream("payments", utf8(), json::<Payment>())
        .map_values_async(AsyncOptions::concurrency(CONCURRENCY).retries(5, 20), move |_, payment| {
            let asked = client.post(&service).json(&payment);
            async move { score(asked, payment).await }
        })
        .with_value_codec(json());
    scored.to("scored");
    scored.filter(|_, scored: &Scored| scored.score >= SUSPICIOUS).to("suspicious");
    app.build()
}

/// Asks for a score. What may pass is tried again by the operator: a service that is away or busy.
async fn score(asked: reqwest::RequestBuilder, payment: Payment) -> Result<Scored, CallError> {
    let answer = asked.send().await?;
    match answer.status() {
        status if status.is_success() => Ok(Scored { payment, score: answer.json::<Score>().await?.score }),
        status if status.is_server_error() => Err(CallError::retry(status)),
        status => Err(CallError::fatal(format_args!("the service refuses the payment: {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service;
    use kappa_core::testing::TestDriver;

    #[test]
    fn payments_are_scored_and_the_suspicious_ones_written_out() -> Result<(), Box<dyn std::error::Error>> {
        let service = service::start()?;
        let driver = TestDriver::new(&topology(service.address.clone())?)?;
        let payments = driver.input("payments", utf8(), json::<Payment>());
        for (id, amount_cents) in [("p1", 1_200), ("p2", 980_000)] {
            payments.pipe(id, Payment { account: "a".into(), amount_cents }, 0)?;
        }
        let scored = driver.output("scored", utf8(), json::<Scored>()).read_all()?;
        let scores: Vec<f64> = scored.into_iter().filter_map(|(_, scored, _)| Some(scored?.score)).collect();
        assert_eq!(scores, [0.0012, 0.98]);
        let suspicious = driver.output("suspicious", utf8(), json::<Scored>()).read_all()?;
        assert_eq!(suspicious.into_iter().map(|(id, ..)| id).collect::<Vec<_>>(), ["p2"]);
        Ok(())
    }
}
