//! The text kept beside a committed offset: `kappa1;tx=<transactional id>;t=<partition time, ms>`.
//!
//! `tx` tells a new owner whose transaction may still be open; `t` restores the partition's time, so that a
//! restart does not forget how far time had come (Kafka Streams keeps it in the same place).

/// What the text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetMetadata {
    /// The transactional id of whoever committed; empty outside transactions.
    pub transactional_id: String,
    /// The greatest timestamp processed from the partition, ms; `None` before the first record.
    pub partition_time_ms: Option<i64>,
}

const MAGIC: &str = "kappa1";

impl OffsetMetadata {
    /// The text.
    pub fn encode(&self) -> String {
        let time = self.partition_time_ms.map(|time| time.to_string()).unwrap_or_default();
        format!("{MAGIC};tx={};t={time}", self.transactional_id)
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
        let metadata = OffsetMetadata { transactional_id: "flights-v2-ab-0".into(), partition_time_ms: Some(-1) };
        assert_eq!(metadata.encode(), "kappa1;tx=flights-v2-ab-0;t=-1");
        assert_eq!(OffsetMetadata::decode(&metadata.encode()), metadata);
        let fresh = OffsetMetadata { transactional_id: "x".into(), partition_time_ms: None };
        assert_eq!(OffsetMetadata::decode(&fresh.encode()), fresh);
        assert_eq!(OffsetMetadata::decode("AgAAAYx"), OffsetMetadata::default());
        assert_eq!(OffsetMetadata::decode(""), OffsetMetadata::default());
    }
}
