//! What the log says when an application has stopped getting on: where its topics end for either kind of reader, and which of its
//! group's offsets are decided.

use super::PARTITIONS;
use kappa_core::log::{GroupOffsets, Isolation, OffsetSpec, SharedLog, TopicPartition};
use std::fmt::Write as _;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(5);

/// A line for each partition of each topic: start of what is open, end, the group's last offset, and whether it is decided.
pub fn describe(log: &SharedLog, group: &str, topics: &[String]) -> String {
    let mut text = String::new();
    let mut offsets = log.group_offsets(group);
    for topic in topics {
        for partition in 0..PARTITIONS {
            let partition = TopicPartition::new(topic.as_str(), partition);
            let ends = ends(log, &partition);
            let group = match &mut offsets {
                Ok(offsets) => committed(&mut **offsets, &partition),
                Err(error) => format!("offsets: {error}"),
            };
            let _ = writeln!(text, "  {partition}: {ends}; {group}");
        }
    }
    text
}

fn ends(log: &SharedLog, partition: &TopicPartition) -> String {
    let wanted = [Isolation::ReadCommitted, Isolation::ReadUncommitted]
        .map(|isolation| (partition.clone(), OffsetSpec::Latest(isolation)));
    match log.topics().and_then(|mut topics| topics.offsets(&wanted)).as_deref() {
        Ok([stable, end]) if stable == end => format!("end {end}"),
        Ok([stable, end]) => format!("OPEN TRANSACTION from {stable}, end {end}"),
        Ok(_) => "no answer".into(),
        Err(error) => format!("end unknown: {error}"),
    }
}

fn committed(offsets: &mut dyn GroupOffsets, partition: &TopicPartition) -> String {
    let one = std::slice::from_ref(partition);
    match offsets.peek(one, DEADLINE).as_deref() {
        Ok([None]) => "nothing committed".into(),
        Ok([Some(peeked), ..]) => {
            let decided = match offsets.committed(one, DEADLINE) {
                Ok(_) => String::new(),
                Err(error) => format!(", UNDECIDED: {error}"),
            };
            format!("committed {} ({}){decided}", peeked.offset, peeked.metadata)
        }
        Ok(_) => "no answer".into(),
        Err(error) => format!("committed unknown: {error}"),
    }
}
