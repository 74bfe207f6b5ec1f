//! `/metrics`, `/livez` and `/readyz` over HTTP.
//!
//! - `/livez`: 200 while no thread has failed.
//! - `/readyz`: 200 once the process is a member of its group and runs all its tasks; 503 with what is missing before.

use super::shared::Shared;
use crate::Error;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const STOP_POLL: Duration = Duration::from_millis(100);

/// Serves until `done` says so. Binding happens before this returns, so a taken port is an error at start.
pub(crate) fn serve(
    addr: SocketAddr,
    shared: Arc<Shared>,
    done: impl Fn() -> bool + Send + 'static,
) -> Result<(SocketAddr, JoinHandle<()>), Error> {
    let failed =
        |reason: std::io::Error| Error::System { operation: "serving HTTP", reason: format!("{addr}: {reason}") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(addr)).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let router = router(shared);
    let stop = async move {
        while !done() {
            tokio::time::sleep(STOP_POLL).await;
        }
    };
    let thread = std::thread::Builder::new()
        .name("kappa-http".into())
        .spawn(move || {
            let served = runtime.block_on(async { axum::serve(listener, router).with_graceful_shutdown(stop).await });
            if let Err(error) = served {
                tracing::warn!(%error, "HTTP server ended");
            }
        })
        .map_err(failed)?;
    tracing::info!(%bound, "serving /metrics, /livez and /readyz");
    Ok((bound, thread))
}

fn router(shared: Arc<Shared>) -> Router {
    let (metrics, live, ready) = (Arc::clone(&shared), Arc::clone(&shared), shared);
    Router::new()
        .route(
            "/metrics",
            get(move || async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.metrics.text()) }),
        )
        .route(
            "/livez",
            get(move || async move {
                match live.failure() {
                    None => (StatusCode::OK, "ok\n".to_owned()),
                    Some(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
                }
            }),
        )
        .route("/readyz", get(move || async move { readiness(&ready).into_response() }))
}

fn readiness(shared: &Shared) -> (StatusCode, String) {
    if let Some(error) = shared.failure() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"));
    }
    if shared.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into());
    }
    if shared.member().and_then(|member| member.stamp()).is_none() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not yet a member of its group\n".into());
    }
    let (assigned, held) = (shared.assigned(), shared.held());
    let running =
        assigned.iter().filter(|task| matches!(held.get(task), Some(super::shared::Holder::Worker(_)))).count();
    let status = if running == assigned.len() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{running} of {} tasks running\n", assigned.len()))
}
