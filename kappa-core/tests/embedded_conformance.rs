//! The embedded log against the contract of the seam, on the real clock and on a manual one.

#![cfg(feature = "testing")]

use kappa_core::log::SharedLog;
use kappa_core::log::conformance::Harness;
use kappa_core::log::embedded::{EmbeddedLog, ManualClock};
use std::time::{Duration, Instant};

struct RealClock {
    log: EmbeddedLog,
    began: Instant,
}

impl RealClock {
    fn new() -> Self {
        Self { log: EmbeddedLog::new(), began: Instant::now() }
    }
}

impl Harness for RealClock {
    fn log(&self) -> SharedLog {
        self.log.shared()
    }

    fn smallest_session(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now_ms(&self) -> i64 {
        self.began.elapsed().as_millis() as i64
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn compact(&self, topic: &str) -> bool {
        self.log.compact(topic).is_ok()
    }
}

struct StandingClock {
    log: EmbeddedLog,
    clock: ManualClock,
}

impl StandingClock {
    fn new() -> Self {
        let clock = ManualClock::new(0);
        Self { log: EmbeddedLog::with_clock(&clock), clock }
    }
}

impl Harness for StandingClock {
    fn log(&self) -> SharedLog {
        self.log.shared()
    }

    fn smallest_session(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn pause(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn compact(&self, topic: &str) -> bool {
        self.log.compact(topic).is_ok()
    }
}

mod real_clock {
    kappa_core::log_conformance!(super::RealClock::new());
}

mod manual_clock {
    kappa_core::log_conformance!(super::StandingClock::new());
}
