//! Where asynchronous calls of operators run: outside the step, which only hands them over and takes results back.

use crate::Error;
use futures::future::BoxFuture;
use std::fmt;
use std::future::{pending, ready};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A call that runs. Dropping it cancels the call.
pub trait RunningCall: Send {}

/// Runs asynchronous calls.
pub trait CallRunner: Send + Sync + fmt::Debug {
    /// Runs a call to its end; it reports by itself.
    fn run(&self, call: BoxFuture<'static, ()>) -> Box<dyn RunningCall>;

    /// Ends when a call that failed may be tried again.
    fn back_off(&self, ms: u64) -> BoxFuture<'static, ()>;

    /// Ends when a call has taken too long.
    fn deadline(&self, ms: u64) -> BoxFuture<'static, ()>;
}

/// Runs calls on a pool of threads of its own, one for the whole process, made with the first call.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallPool;

const POOL_THREADS: usize = 2;

impl CallPool {
    fn runtime() -> Result<&'static tokio::runtime::Runtime, Error> {
        static POOL: OnceLock<Result<tokio::runtime::Runtime, String>> = OnceLock::new();
        let pool = POOL.get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let built = builder.worker_threads(POOL_THREADS).thread_name("kappa-calls").enable_all().build();
            built.map_err(|error| error.to_string())
        });
        let failed =
            |reason: &String| Error::System { operation: "starting threads for calls", reason: reason.clone() };
        pool.as_ref().map_err(failed)
    }
}

struct Spawned(tokio::task::JoinHandle<()>);

impl RunningCall for Spawned {}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A call that has ended, or that could not be started: then its report never comes, and the deadline tells.
struct Over;

impl RunningCall for Over {}

impl CallRunner for CallPool {
    fn run(&self, call: BoxFuture<'static, ()>) -> Box<dyn RunningCall> {
        match Self::runtime() {
            Ok(pool) => Box::new(Spawned(pool.spawn(call))),
            Err(error) => {
                tracing::error!(%error, "calls can't run");
                Box::new(Over)
            }
        }
    }

    fn back_off(&self, ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn deadline(&self, ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }
}

/// Runs each call to its end before the step goes on, without back-off and without deadlines: for tests, where the same input must
/// give the same output in the same order.
#[derive(Default)]
pub struct InlineCalls {
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
}

impl CallRunner for InlineCalls {
    fn run(&self, call: BoxFuture<'static, ()>) -> Box<dyn RunningCall> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if runtime.is_none() {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(built) => *runtime = Some(built),
                Err(error) => tracing::error!(%error, "calls can't run"),
            }
        }
        if let Some(runtime) = &*runtime {
            runtime.block_on(call);
        }
        Box::new(Over)
    }

    fn back_off(&self, _ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(ready(()))
    }

    fn deadline(&self, _ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }
}

impl fmt::Debug for InlineCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InlineCalls")
    }
}
