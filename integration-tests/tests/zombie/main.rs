//! A process stopped past its session, its tasks taken over, then continued: nothing it did for them may count.
//!
//! - [`rounds`]: a process is frozen at every kind of moment between poll and commit.
//! - [`fresh_stamp`], [`seam`]: the two ways in which a broker lets a woken process through, and the rules that close them.
//! - [`late_markers`]: how late transaction markers come on three brokers, and why a restore ends by four steps.
//!
//! A round takes about as long as a session (`KAPPA_TEST_SESSION_MS`, 3000; brokers that `cargo xtask test` did not start often
//! demand 6000).
#![cfg(all(feature = "kafka", feature = "rocksdb"))]

mod fresh_stamp;
mod late_markers;
mod rounds;
mod seam;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const APP: &str = env!("CARGO_BIN_EXE_totals-app");
const PARTITIONS: i32 = 4;
/// How long anything that will happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Sessions are short, and tests side by side would make healthy processes late: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
