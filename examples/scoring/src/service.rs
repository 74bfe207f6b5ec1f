//! A scoring service as small as can be: it thinks for a while, and every so often it is too busy.

use crate::app::{Payment, Score};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const THINKS: Duration = Duration::from_millis(10);
/// Of so many requests one finds the service busy.
const BUSY_EVERY: u64 = 20;

/// A service that runs until the process ends.
#[derive(Debug, Clone)]
pub struct Service {
    /// Where it is asked.
    pub address: String,
    /// Requests so far.
    pub requests: Arc<AtomicU64>,
}

/// Starts the service on a free port of this machine.
pub fn start() -> std::io::Result<Service> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let service = Service { address: format!("http://{}/score", listener.local_addr()?), requests: Arc::default() };
    let router = Router::new().route("/score", post(score)).with_state(service.clone());
    std::thread::Builder::new().name("scoring-service".into()).spawn(move || {
        let served = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await })
        });
        if let Err(error) = served {
            eprintln!("the scoring service has ended: {error}");
        }
    })?;
    Ok(service)
}

/// The higher the amount, the more unusual.
async fn score(State(service): State<Service>, Json(payment): Json<Payment>) -> Result<Json<Score>, StatusCode> {
    let request = service.requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(THINKS).await;
    if request % BUSY_EVERY == BUSY_EVERY - 1 {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(Score { score: (payment.amount_cents as f64 / 1_000_000.0).min(1.0) }))
}
