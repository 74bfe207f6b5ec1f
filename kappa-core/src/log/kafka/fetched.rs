//! A fetched batch as the seam lends it.

use super::sys::Batch;
use crate::log::{FetchedBatch, Headers, RecordView, Run};

/// Messages of librdkafka's and the runs they form. Keeps its client alive until it is dropped.
#[derive(Debug)]
pub(super) struct KafkaBatch {
    pub(super) messages: Batch,
    pub(super) runs: Vec<Run>,
}

impl FetchedBatch for KafkaBatch {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn record(&self, index: usize) -> RecordView<'_> {
        let (key, value) = self.messages.bytes(index);
        RecordView {
            offset: self.messages.head(index).offset,
            timestamp_ms: self.messages.timestamp(index),
            key,
            value,
        }
    }

    fn headers(&self, index: usize) -> Headers {
        self.messages.headers(index)
    }
}
