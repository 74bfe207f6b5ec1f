//! A fetched batch: shares the log's segments, copies nothing.

use super::segment::Slice;
use crate::log::{FetchedBatch, Headers, RecordView, Run};

/// Slices of segments in delivery order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    slices: Vec<Slice>,
    /// For each record its slice and its index in the slice's segment.
    places: Vec<(u32, u32)>,
    runs: Vec<Run>,
}

impl Batch {
    /// Adds the slices of one partition as one run.
    pub(super) fn push_run(&mut self, token: u32, slices: Vec<Slice>) {
        let start = self.places.len() as u32;
        for slice in slices {
            let number = self.slices.len() as u32;
            self.places.extend((slice.start..slice.end).map(|index| (number, index as u32)));
            self.slices.push(slice);
        }
        let end = self.places.len() as u32;
        if end > start {
            self.runs.push(Run { token, start, end });
        }
    }
}

impl FetchedBatch for Batch {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn record(&self, index: usize) -> RecordView<'_> {
        let (slice, record) = self.places[index];
        self.slices[slice as usize].segment.view(record as usize)
    }

    fn headers(&self, index: usize) -> Headers {
        let (slice, record) = self.places[index];
        self.slices[slice as usize].segment.records[record as usize].headers.clone()
    }
}
