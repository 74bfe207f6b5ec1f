//! What travels between both sides of a foreign-key join, byte for byte as in Kafka Streams
//! (`SubscriptionWrapperSerde` version 1, `SubscriptionResponseWrapperSerde` version 0).

use super::murmur3::Hash;
use crate::codec::{Codec, CodecError};

/// The version of subscriptions that is written. Older ones are read.
const SUBSCRIPTION_VERSION: u8 = 1;
const RESPONSE_VERSION: u8 = 0;
/// In the first byte, beside the version: there is no hash.
const NO_HASH: u8 = 0x80;

/// What a left row wants of the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    /// To be forgotten.
    Delete,
    /// To be forgotten, and told that there is nothing.
    DeleteAndPropagate,
    /// To be told what is there, or that nothing is.
    Propagate,
    /// To be told what is there, if anything is.
    PropagateIfThere,
}

impl Instruction {
    fn byte(self) -> u8 {
        match self {
            Self::Delete => 0,
            Self::DeleteAndPropagate => 1,
            Self::Propagate => 2,
            Self::PropagateIfThere => 3,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Delete, Self::DeleteAndPropagate, Self::Propagate, Self::PropagateIfThere]
            .into_iter()
            .find(|instruction| instruction.byte() == byte)
    }
}

/// A left row that waits for a right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    /// Of the left row's value; `None` where it is deleted.
    pub(super) hash: Option<Hash>,
    pub(super) instruction: Instruction,
    /// The left row's key, as its codec writes it.
    pub(super) key: Vec<u8>,
    /// The partition that the left row is in.
    pub(super) partition: i32,
}

/// Its codec.
#[derive(Debug)]
pub(super) struct SubscriptionCodec;

impl Codec<Subscription> for SubscriptionCodec {
    fn encode(&self, subscription: &Subscription, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let flag = if subscription.hash.is_none() { NO_HASH } else { 0 };
        out.extend_from_slice(&[SUBSCRIPTION_VERSION | flag, subscription.instruction.byte()]);
        out.extend(subscription.hash.iter().flatten());
        out.extend_from_slice(&subscription.key);
        out.extend_from_slice(&subscription.partition.to_be_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Subscription, CodecError> {
        let bad = || CodecError::new("a foreign-key join's subscription that is too short or of an unknown kind");
        let (version, rest) = bytes.split_first().ok_or_else(bad)?;
        let (instruction, rest) = rest.split_first().ok_or_else(bad)?;
        let instruction = Instruction::of(*instruction).ok_or_else(bad)?;
        let (hash, rest) = read_hash(*version, rest).ok_or_else(bad)?;
        let (key, partition) = match version & !NO_HASH {
            SUBSCRIPTION_VERSION => rest.split_last_chunk::<4>().ok_or_else(bad)?,
            _ => return Err(bad()),
        };
        Ok(Subscription { hash, instruction, key: key.to_vec(), partition: i32::from_be_bytes(*partition) })
    }
}

fn read_hash(version: u8, bytes: &[u8]) -> Option<(Option<Hash>, &[u8])> {
    if version & NO_HASH != 0 {
        return Some((None, bytes));
    }
    let (hash, rest) = bytes.split_first_chunk::<16>()?;
    Some((Some(*hash), rest))
}

/// The answer to a left row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    /// That the subscription had.
    pub(super) hash: Option<Hash>,
    /// The right row's value as its codec writes it; `None` where there is none. A value without bytes can't be told
    /// from none.
    pub(super) value: Option<Vec<u8>>,
}

impl Response {
    /// Appends the bytes of an answer.
    pub(super) fn write(hash: Option<&Hash>, value: Option<&[u8]>, out: &mut Vec<u8>) {
        out.push(RESPONSE_VERSION | if hash.is_none() { NO_HASH } else { 0 });
        out.extend(hash.into_iter().flatten());
        out.extend_from_slice(value.unwrap_or_default());
    }
}

/// Its codec.
#[derive(Debug)]
pub(super) struct ResponseCodec;

impl Codec<Response> for ResponseCodec {
    fn encode(&self, response: &Response, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Response::write(response.hash.as_ref(), response.value.as_deref(), out);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Response, CodecError> {
        let bad = || CodecError::new("a foreign-key join's answer that is too short or of an unknown version");
        let (version, rest) = bytes.split_first().ok_or_else(bad)?;
        if version & !NO_HASH != RESPONSE_VERSION {
            return Err(bad());
        }
        let (hash, rest) = read_hash(*version, rest).ok_or_else(bad)?;
        Ok(Response { hash, value: (!rest.is_empty()).then(|| rest.to_vec()) })
    }
}

/// What all subscriptions of a foreign key begin with in the store: its length (four bytes, big-endian), and itself.
pub(super) fn prefix(foreign_key: &[u8]) -> Vec<u8> {
    let mut prefix = (foreign_key.len() as u32).to_be_bytes().to_vec();
    prefix.extend_from_slice(foreign_key);
    prefix
}

/// How long that is in a key of the store.
pub(super) fn prefix_len(key: &[u8]) -> usize {
    let foreign_len = key.first_chunk().map_or(0, |len| u32::from_be_bytes(*len) as usize);
    foreign_len.saturating_add(4).min(key.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_begins_with_its_foreign_keys_prefix() {
        let key = [prefix(b"PRG"), b"OK1".to_vec()].concat();
        assert_eq!(&key[..prefix_len(&key)], prefix(b"PRG"));
        assert_eq!(prefix_len(&[255, 255, 255, 255, 1]), 5, "no key of ours");
        assert_eq!(prefix_len(&[1]), 1);
    }

    const HASH: Hash = [7; 16];

    /// By the layout of `SubscriptionWrapperSerde`: version, instruction, hash, key, partition.
    #[test]
    fn subscriptions_are_kafka_streams() {
        let mut subscription = Subscription {
            hash: Some(HASH),
            instruction: Instruction::PropagateIfThere,
            key: b"pk".to_vec(),
            partition: 258,
        };
        let with_hash = [&[1, 3][..], &HASH, b"pk", &[0, 0, 1, 2]].concat();
        let without = [0x81, 0, b'p', b'k', 0, 0, 1, 2];
        let mut out = Vec::new();
        SubscriptionCodec.encode(&subscription, &mut out).unwrap();
        assert_eq!(out, with_hash);
        assert_eq!(SubscriptionCodec.decode(&out).unwrap(), subscription);
        subscription = Subscription { hash: None, instruction: Instruction::Delete, ..subscription };
        out.clear();
        SubscriptionCodec.encode(&subscription, &mut out).unwrap();
        assert_eq!(out, without);
        assert_eq!(SubscriptionCodec.decode(&out).unwrap(), subscription);
        for bad in [&b""[..], &[1], &[1, 9, 0], &[0x82, 0, 0, 0, 0, 0], &[0x81, 0, 0, 0, 0], &[1, 0, 1, 2, 3]] {
            assert!(SubscriptionCodec.decode(bad).is_err(), "{bad:?}");
        }
    }

    /// By the layout of `SubscriptionResponseWrapperSerde`: version, hash, value.
    #[test]
    fn answers_are_kafka_streams() {
        for (hash, value, bytes) in [
            (Some(HASH), Some(b"v".to_vec()), [&[0][..], &HASH, b"v"].concat()),
            (Some(HASH), None, [&[0][..], &HASH].concat()),
            (None, None, vec![0x80]),
        ] {
            let response = Response { hash, value };
            let mut out = Vec::new();
            ResponseCodec.encode(&response, &mut out).unwrap();
            assert_eq!(out, bytes);
            assert_eq!(ResponseCodec.decode(&bytes).unwrap(), response);
        }
        assert!(ResponseCodec.decode(&[1]).is_err());
        assert!(ResponseCodec.decode(&[0, 1]).is_err());
    }
}
