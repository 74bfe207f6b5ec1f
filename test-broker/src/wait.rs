//! Waiting on a condition with a deadline, never on the clock alone.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(20);

/// Waits until the condition holds; false if it did not within the deadline. It is looked at once more at the very end, so that
/// a long pause of this process is no failure by itself.
pub fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::sleep(STEP);
    }
    condition()
}

/// Waits until there is a value; `None` if there was none within the deadline.
pub fn wait_for<T>(deadline: Duration, mut value: impl FnMut() -> Option<T>) -> Option<T> {
    let mut found = None;
    wait_until(deadline, || {
        found = value();
        found.is_some()
    });
    found
}
