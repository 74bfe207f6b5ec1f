//! A change of a row on its way through a repartition topic: what is to be taken in and what out.
//!
//! The bytes are Kafka Streams' (`ChangedSerializer`): `{old}{0}`, `{new}{1}` or `{length of new}{new}{old}{2}`, the
//! length as a zigzag varint; 3, 4 and 5 are the same with a byte before the flag that says whether the value is the
//! latest, and are only read.

use crate::codec::{Codec, CodecError, CodecId, SharedCodec};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a row's change means to one group: at least one of the two is there.
#[derive(Debug)]
pub(crate) struct Revision<V> {
    /// To be taken in.
    pub(crate) new: Option<V>,
    /// To be taken out.
    pub(crate) old: Option<V>,
}

/// Its codec, around the value's.
pub(crate) struct RevisionCodec<V>(pub(crate) SharedCodec<V>);

impl<V> fmt::Debug for RevisionCodec<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RevisionCodec").field(&self.0).finish()
    }
}

impl<V: 'static> Codec<Revision<V>> for RevisionCodec<V> {
    fn encode(&self, revision: &Revision<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let codec = &self.0.codec;
        match (&revision.new, &revision.old) {
            (Some(new), Some(old)) => {
                let mut bytes = Vec::new();
                codec.encode(new, &mut bytes)?;
                let length = i32::try_from(bytes.len()).map_err(|_| CodecError::new("the value has 2 GiB or more"))?;
                write_varint(length, out);
                out.append(&mut bytes);
                codec.encode(old, out)?;
                out.push(2);
            }
            (Some(new), None) => {
                codec.encode(new, out)?;
                out.push(1);
            }
            (None, Some(old)) => {
                codec.encode(old, out)?;
                out.push(0);
            }
            (None, None) => return Err(CodecError::new("a change from nothing to nothing")),
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Revision<V>, CodecError> {
        let codec = &self.0.codec;
        let Some((flag, rest)) = bytes.split_last() else { return Err(CodecError::new("a change without bytes")) };
        let (kind, rest) = match flag {
            0..=2 => (*flag, Some(rest)),
            3..=5 => (flag - 3, rest.split_last().map(|(_, rest)| rest)),
            other => return Err(CodecError::new(format_args!("a change of unknown kind {other}"))),
        };
        let rest = rest.ok_or_else(|| CodecError::new("a change that is too short"))?;
        Ok(match kind {
            0 => Revision { new: None, old: Some(codec.decode(rest)?) },
            1 => Revision { new: Some(codec.decode(rest)?), old: None },
            _ => {
                let split = read_varint(rest).and_then(|(length, rest)| rest.split_at_checked(length));
                let (new, old) = split.ok_or_else(|| CodecError::new("a change that is too short"))?;
                Revision { new: Some(codec.decode(new)?), old: Some(codec.decode(old)?) }
            }
        })
    }

    fn id(&self) -> CodecId {
        let mut hasher = DefaultHasher::new();
        self.0.id.hash(&mut hasher);
        CodecId::with_variant::<Self>(hasher.finish())
    }
}

fn write_varint(value: i32, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 31)) as u32;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A length, and what follows it.
fn read_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u32;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let length = ((value >> 1) as i32) ^ -((value & 1) as i32);
            return Some((usize::try_from(length).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::utf8;

    #[track_caller]
    fn vector(new: Option<&str>, old: Option<&str>, bytes: &[u8]) {
        let codec = RevisionCodec(SharedCodec::new(utf8()));
        let mut out = Vec::new();
        let revision = Revision { new: new.map(str::to_owned), old: old.map(str::to_owned) };
        codec.encode(&revision, &mut out).unwrap();
        assert_eq!(out, bytes);
        let back = codec.decode(bytes).unwrap();
        assert_eq!((back.new.as_deref(), back.old.as_deref()), (new, old));
    }

    /// By the format that `ChangedSerializer` documents; a length of 100 is the zigzag varint c8 01.
    #[test]
    fn bytes_are_kafka_streams() {
        vector(None, Some("ab"), b"ab\x00");
        vector(Some("ab"), None, b"ab\x01");
        vector(Some("ab"), Some("c"), b"\x04abc\x02");
        vector(Some(""), Some(""), b"\x00\x02");
        let long = "x".repeat(100);
        vector(Some(&long), Some("y"), &[&[0xc8, 0x01][..], long.as_bytes(), b"y\x02"].concat());
    }

    #[test]
    fn versions_are_read_and_nonsense_is_refused() {
        let codec = RevisionCodec(SharedCodec::new(utf8()));
        let both = codec.decode(b"\x04abc\x01\x05").unwrap();
        assert_eq!((both.new.as_deref(), both.old.as_deref()), (Some("ab"), Some("c")));
        assert_eq!(codec.decode(b"ab\x00\x03").unwrap().old.as_deref(), Some("ab"));
        for bad in [&b""[..], b"\x03", b"x\x09", b"\x7fab\x02", b"\xff\xff\xff\xff\xff\xff\x02"] {
            assert!(codec.decode(bad).is_err(), "{bad:?}");
        }
    }
}
