//! Whether a topic is there, where brokers learn of new topics one after the other.
//!
//! **Invariant:** a topic counts as missing only when several brokers in a row say so. Requests go to brokers as they come, and one that
//! has not heard yet of a topic that another has just created says that it does not exist.

use super::classify::is_missing_topic;
use super::sys::{Admin, ListedTopic, RawError};
use std::time::Duration;

/// A topic that is missing for so many is missing: where one of three brokers lags and each is as likely to be asked, it is asked every time
/// in one case of 6,561 (3⁸).
const ASKED: usize = 8;
/// Brokers hear of a topic within a few ms of each other.
const PAUSE: Duration = Duration::from_millis(15);

/// Describes a topic; an error that says it is missing is that of [`ASKED`] requests in a row.
pub(super) fn describe(admin: &Admin, name: &str) -> Result<ListedTopic, RawError> {
    for _ in 1..ASKED {
        match admin.describe_topic(name) {
            Err(error) if is_missing_topic(error.code) => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    admin.describe_topic(name)
}
