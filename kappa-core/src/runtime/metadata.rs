//! The text kept beside a committed offset: `kappa1;tx=<transactional id>;t=<partition time, ms>;o=<task times, ms>`.
//!
//! `tx` tells a new owner whose transaction may still be open; `t` restores the partition's time, so that a
//! restart does not forget how far time had come (Kafka Streams keeps it in the same place); `o` are the times of the task and
//! its operators, separated by commas, an empty one not begun: windows closed before a restart stay closed after it.

/// What the text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetMetadata {
    /// The transactional id of whoever committed; empty outside transactions.
    pub transactional_id: String,
    /// The greatest timestamp processed from the partition, ms; `None` before the first record.
    pub partition_time_ms: Option<i64>,
    /// The times of the task that read the partition, as [`TaskProcessor::times`](crate::task::TaskProcessor::times) gave them.
    pub task_times_ms: Vec<i64>,
}

const MAGIC: &str = "kappa1";

impl OffsetMetadata {
    /// The newest of what several partitions of a task say of its times: none ever goes back.
    pub(crate) fn newest_times<'m>(all: impl Iterator<Item = &'m Self>) -> Vec<i64> {
        all.fold(Vec::new(), |mut newest: Vec<i64>, metadata| {
            newest.resize(newest.len().max(metadata.task_times_ms.len()), i64::MIN);
            newest.iter_mut().zip(&metadata.task_times_ms).for_each(|(newest, time)| *newest = (*newest).max(*time));
            newest
        })
    }

    /// The text.
    pub fn encode(&self) -> String {
        let time = self.partition_time_ms.map(|time| time.to_string()).unwrap_or_default();
        let mut text = format!("{MAGIC};tx={};t={time}", self.transactional_id);
        for (index, time_ms) in self.task_times_ms.iter().enumerate() {
            text.push_str(if index == 0 { ";o=" } else { "," });
            if *time_ms != i64::MIN {
                text.push_str(&time_ms.to_string());
            }
        }
        text
    }

    /// Reads the text; anything else than ours says nothing.
    pub fn decode(text: &str) -> Self {
        let mut metadata = Self::default();
        let mut fields = text.split(';');
        if fields.next() != Some(MAGIC) {
            return metadata;
        }
        for field in fields {
            match field.split_once('=') {
                Some(("tx", id)) => id.clone_into(&mut metadata.transactional_id),
                Some(("t", time)) => metadata.partition_time_ms = time.parse().ok(),
                Some(("o", times)) => {
                    metadata.task_times_ms = times.split(',').map(|time| time.parse().unwrap_or(i64::MIN)).collect();
                }
                _ => {}
            }
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_read_back_and_foreign_text_says_nothing() {
        let metadata = OffsetMetadata {
            transactional_id: "flights-v2-ab-0".into(),
            partition_time_ms: Some(-1),
            task_times_ms: vec![17, i64::MIN, 20],
        };
        assert_eq!(metadata.encode(), "kappa1;tx=flights-v2-ab-0;t=-1;o=17,,20");
        assert_eq!(OffsetMetadata::decode(&metadata.encode()), metadata);
        let fresh = OffsetMetadata { transactional_id: "x".into(), ..Default::default() };
        assert_eq!(OffsetMetadata::decode(&fresh.encode()), fresh);
        assert_eq!(OffsetMetadata::decode("AgAAAYx"), OffsetMetadata::default());
        assert_eq!(OffsetMetadata::decode(""), OffsetMetadata::default());
    }
}
