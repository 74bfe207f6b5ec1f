//! Why a partition can't be read on.
//!
//! **Invariants:** each look-up of a log's range ends within its deadline and reports once.

use crate::log::kafka::classify::{is_missing_topic, is_unauthorized};
use crate::log::kafka::sys::{Admin, Client, Code, OffsetQuery, PartitionList};
use crate::log::{LogError, Token, TopicPartition};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Each of the two requests; a failure is to be reported within 10 s.
const LOOK_UP_DEADLINE: Duration = Duration::from_secs(3);

/// What an error of a partition comes to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// librdkafka goes on by itself.
    Passing,
    /// The partition can't be read.
    Failed(LogError),
    /// The offset is not there: where the log starts and ends is to be looked up.
    OutOfRange,
}

/// Judges an error of a partition.
pub(super) fn verdict(partition: &TopicPartition, code: Code, text: &str) -> Verdict {
    let topic = partition.topic.to_string();
    match code {
        Code::AUTO_OFFSET_RESET | Code::OFFSET_OUT_OF_RANGE => Verdict::OutOfRange,
        Code::LOCAL_UNKNOWN_PARTITION => {
            Verdict::Failed(LogError::PartitionMissing { topic, partition: partition.partition })
        }
        code if is_missing_topic(code) => Verdict::Failed(LogError::TopicMissing { topic }),
        code if is_unauthorized(code) => {
            Verdict::Failed(LogError::Unauthorized { operation: "fetch", reason: format!("{partition}: {text}") })
        }
        Code::BAD_MESSAGE | Code::BAD_COMPRESSION | Code::CORRUPT_MESSAGE => Verdict::Failed(LogError::Fatal {
            operation: "fetch",
            reason: format!("{partition} holds a batch that can't be read: {text}"),
        }),
        _ => Verdict::Passing,
    }
}

/// Look-ups under way.
#[derive(Debug)]
pub(super) struct Failures {
    pending: usize,
    report: Sender<(Token, u64, LogError)>,
    reported: Receiver<(Token, u64, LogError)>,
}

impl Failures {
    pub(super) fn new() -> Self {
        let (report, reported) = channel();
        Self { pending: 0, report, reported }
    }

    /// How many look-ups have not been reported.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// The next failure that is known.
    pub(super) fn next(&mut self) -> Option<(Token, u64, LogError)> {
        if self.pending == 0 {
            return None;
        }
        let failure = self.reported.try_recv().ok()?;
        self.pending -= 1;
        Some(failure)
    }

    /// Finds out, on a thread of its own, on which side of the log `offset` lies.
    pub(super) fn look_up(
        &mut self,
        client: &Arc<Client>,
        token: Token,
        serial: u64,
        partition: TopicPartition,
        offset: i64,
        text: &str,
    ) {
        let admin = Admin::new(client.clone(), LOOK_UP_DEADLINE);
        let (report, text) = (self.report.clone(), text.to_owned());
        let unknown = out_of_range(&partition, offset, None, &text);
        let work = {
            let report = report.clone();
            move || {
                let range = range_of(&admin, &partition);
                // Nobody listens when the reader was closed meanwhile.
                let _ = report.send((token, serial, out_of_range(&partition, offset, range, &text)));
            }
        };
        self.pending += 1;
        if std::thread::Builder::new().name("kafka-look-up".into()).spawn(work).is_err() {
            let _ = report.send((token, serial, unknown));
        }
    }
}

fn range_of(admin: &Admin, partition: &TopicPartition) -> Option<(i64, i64)> {
    let ask = |which| {
        let mut list = PartitionList::new();
        list.add(&partition.topic, partition.partition, which);
        let found = admin.list_offsets(&list, OffsetQuery::Uncommitted).ok()?;
        found.first().filter(|found| found.code.is_ok()).map(|found| found.offset)
    };
    Some((ask(-2)?, ask(-1)?))
}

fn out_of_range(partition: &TopicPartition, offset: i64, range: Option<(i64, i64)>, text: &str) -> LogError {
    let topic = partition.topic.to_string();
    match range {
        Some((log_start, _)) if offset < log_start => {
            LogError::Truncated { topic, partition: partition.partition, offset, log_start }
        }
        Some((_, log_end)) if offset > log_end => {
            LogError::BeyondEnd { topic, partition: partition.partition, offset, log_end }
        }
        _ => LogError::Unavailable { operation: "fetch", reason: format!("{partition} at offset {offset}: {text}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_outside_the_log_says_on_which_side() {
        let partition = TopicPartition::new("orders", 3);
        let kind = |offset, range| out_of_range(&partition, offset, range, "gone").kind();
        assert_eq!(kind(4, Some((5, 9))), "truncated");
        assert_eq!(kind(10, Some((5, 9))), "beyond_end");
        assert_eq!(kind(9, Some((5, 9))), "unavailable");
        assert_eq!(kind(4, None), "unavailable");
        let text = out_of_range(&partition, 4, Some((5, 9)), "gone").to_string();
        assert!(text.contains("orders partition 3: offset 4 is gone, the log starts at 5"), "{text}");
    }
}
