//! The two encodings of the events, and the topics that carry them.

use super::{BinEvent, Event, Kind};
use kappa_core::codec::{Codec, CodecError};
use std::fmt;

/// An encoding of the input; its name is the suffix of the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// Compact JSON objects.
    Json,
    /// Fields back to back: see [`BinEvent`].
    Bin,
}

impl Format {
    /// The topic of one kind of events.
    pub fn topic(self, kind: Kind) -> String {
        let kind = match kind {
            Kind::Person => "person",
            Kind::Auction => "auction",
            Kind::Bid => "bid",
        };
        format!("nexmark-{kind}-{self}")
    }

    /// Appends the value of the event's record.
    pub fn encode(self, event: &Event, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match (self, event) {
            (Self::Bin, Event::Person(person)) => person.write(out),
            (Self::Bin, Event::Auction(auction)) => auction.write(out),
            (Self::Bin, Event::Bid(bid)) => bid.write(out),
            (Self::Json, Event::Person(person)) => json(out, person),
            (Self::Json, Event::Auction(auction)) => json(out, auction),
            (Self::Json, Event::Bid(bid)) => json(out, bid),
        }
    }
}

fn json(out: &mut Vec<u8>, event: &impl serde::Serialize) -> Result<(), CodecError> {
    serde_json::to_writer(out, event).map_err(CodecError::new)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Bin => "bin",
        })
    }
}

/// The plain encoding as a codec of kappa's.
#[derive(Debug, Clone, Copy)]
pub struct BinCodec;

impl<T: BinEvent> Codec<T> for BinCodec {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.write(out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        T::read(bytes)
    }

    fn check(&self, bytes: &[u8]) -> Result<(), CodecError> {
        T::check(bytes)
    }
}
