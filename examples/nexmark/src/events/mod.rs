//! Nexmark: an auction site's events, made up but reproducible, in two encodings.
//!
//! Event `i` is a function of the seed and `i` alone, so that any program can make the same records. The
//! records equal those of other implementations of the same description byte for byte; the tests hold
//! the digests.

mod bin;
mod codec;
mod draw;
mod generator;
mod kinds;

pub use bin::BinEvent;
pub use codec::{BinCodec, Format};
pub use draw::Draw;
pub use generator::{Event, Generator, Kind};
pub use kinds::{Auction, Bid, Person};
