//! Keys in windows, byte for byte as Kafka's serializers write them.

use super::{Codec, CodecError, CodecId, SharedCodec};
use crate::window::Windowed;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

const TIME: usize = 8;

/// A key in a time or sliding window: the key, then the window's start.
#[derive(Debug, Clone)]
pub struct TimeWindowed<C> {
    key: C,
    size_ms: i64,
}

/// Writes keys in time or sliding windows as Kafka's `TimeWindowedSerializer`: the key by `key`, then the start in eight bytes.
/// `size_ms` is the windows' size, or the difference of sliding ones: their end is not written. Topics are partitioned by the key alone.
///
/// ```
/// use kappa_core::{codec::{Codec, time_windowed, utf8}, window::Windowed};
/// ///
/// let codec = time_windowed(utf8(), 10);
/// let mut bytes = Vec::new();
/// codec.encode(&Windowed::new("PRG".to_owned(), 20, 30), &mut bytes)?;
/// assert_eq!(bytes, b"PRG\0\0\0\0\0\0\0\x14");
/// assert_eq!(codec.decode(&bytes)?, Windowed::new("PRG".to_owned(), 20, 30));
/// # Ok::<(), kappa_core::codec::CodecError>(())
/// ```
pub fn time_windowed<C>(key: C, size_ms: i64) -> TimeWindowed<C> {
    TimeWindowed { key, size_ms }
}

/// A key in a session: the key, then the session's end, then its start.
#[derive(Debug, Clone)]
pub struct SessionWindowed<C> {
    key: C,
}

/// Writes keys in sessions as Kafka's `SessionWindowedSerializer`: the key by `key`, then end and start in eight bytes each. Topics
/// are partitioned by the key alone.
///
/// ```
/// use kappa_core::{codec::{Codec, session_windowed, utf8}, window::Windowed};
///
/// let mut bytes = Vec::new();
/// session_windowed(utf8()).encode(&Windowed::new("PRG".to_owned(), 20, 30), &mut bytes)?;
/// assert_eq!(bytes, b"PRG\0\0\0\0\0\0\0\x1e\0\0\0\0\0\0\0\x14");
/// # Ok::<(), kappa_core::codec::CodecError>(())
/// ```
pub fn session_windowed<C>(key: C) -> SessionWindowed<C> {
    SessionWindowed { key }
}

impl<K, C: Codec<K>> Codec<Windowed<K>> for TimeWindowed<C> {
    fn encode(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.key.encode(&value.key, out)?;
        out.extend_from_slice(&value.window.start_ms.to_be_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Windowed<K>, CodecError> {
        let (key, start_ms) = split(bytes)?;
        Ok(Windowed::new(self.key.decode(key)?, start_ms, start_ms.saturating_add(self.size_ms)))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), CodecError> {
        self.key.check(split(bytes)?.0)
    }

    fn is_null(&self, value: &Windowed<K>) -> bool {
        self.key.is_null(&value.key)
    }

    fn partition_by<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.key.partition_by(bytes.get(..bytes.len().saturating_sub(TIME)).unwrap_or_default())
    }

    fn id(&self) -> CodecId {
        let mut hasher = DefaultHasher::new();
        (self.key.id(), self.size_ms).hash(&mut hasher);
        CodecId::with_variant::<TimeWindowed<()>>(hasher.finish())
    }
}

impl<K, C: Codec<K>> Codec<Windowed<K>> for SessionWindowed<C> {
    fn encode(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.key.encode(&value.key, out)?;
        out.extend_from_slice(&value.window.end_ms.to_be_bytes());
        out.extend_from_slice(&value.window.start_ms.to_be_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Windowed<K>, CodecError> {
        let (key_and_end, start_ms) = split(bytes)?;
        let (key, end_ms) = split(key_and_end)?;
        Ok(Windowed::new(self.key.decode(key)?, start_ms, end_ms))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), CodecError> {
        self.key.check(split(split(bytes)?.0)?.0)
    }

    fn is_null(&self, value: &Windowed<K>) -> bool {
        self.key.is_null(&value.key)
    }

    fn partition_by<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.key.partition_by(bytes.get(..bytes.len().saturating_sub(2 * TIME)).unwrap_or_default())
    }

    fn id(&self) -> CodecId {
        let mut hasher = DefaultHasher::new();
        self.key.id().hash(&mut hasher);
        CodecId::with_variant::<SessionWindowed<()>>(hasher.finish())
    }
}

/// A codec that is shared, as the one inside.
struct Inner<K>(Arc<dyn Codec<K>>);

impl<K> fmt::Debug for Inner<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K: 'static> Codec<K> for Inner<K> {
    fn encode(&self, value: &K, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.0.encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<K, CodecError> {
        self.0.decode(bytes)
    }

    fn check(&self, bytes: &[u8]) -> Result<(), CodecError> {
        self.0.check(bytes)
    }

    fn null(&self) -> Option<K> {
        self.0.null()
    }

    fn is_null(&self, value: &K) -> bool {
        self.0.is_null(value)
    }

    fn partition_by<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.0.partition_by(bytes)
    }

    fn id(&self) -> CodecId {
        self.0.id()
    }
}

/// The codec of keys in time or sliding windows, whose keys `key` writes.
pub(crate) fn shared_time_windowed<K: 'static>(key: &SharedCodec<K>, size_ms: i64) -> SharedCodec<Windowed<K>> {
    let codec = Arc::new(TimeWindowed { key: Inner(Arc::clone(&key.codec)), size_ms });
    let id = codec.id();
    SharedCodec { codec, id, name: format!("{} in windows of {size_ms} ms", key.name).into(), whole: false }
}

/// The codec of keys in sessions, whose keys `key` writes.
pub(crate) fn shared_session_windowed<K: 'static>(key: &SharedCodec<K>) -> SharedCodec<Windowed<K>> {
    let codec = Arc::new(SessionWindowed { key: Inner(Arc::clone(&key.codec)) });
    let id = codec.id();
    SharedCodec { codec, id, name: format!("{} in sessions", key.name).into(), whole: false }
}

/// What stands before the last eight bytes, and the time in them.
fn split(bytes: &[u8]) -> Result<(&[u8], i64), CodecError> {
    match bytes.split_last_chunk::<TIME>() {
        Some((key, time)) => Ok((key, i64::from_be_bytes(*time))),
        None => Err(CodecError::new(format_args!("a windowed key of {} bytes has no time", bytes.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{i64_be, utf8};
    use super::*;

    #[test]
    fn topics_are_partitioned_by_the_key_alone() {
        let (time, session) = (time_windowed(utf8(), 1000), session_windowed(utf8()));
        let key = Windowed::new("k".to_owned(), 1, 1001);
        for codec in [&time as &dyn Codec<Windowed<String>>, &session] {
            let mut bytes = Vec::new();
            codec.encode(&key, &mut bytes).unwrap();
            assert_eq!(codec.partition_by(&bytes), b"k");
            assert_eq!(codec.decode(&bytes).unwrap(), key);
            assert!(codec.check(&bytes[..7]).is_err());
        }
    }

    #[test]
    fn the_id_tells_sizes_and_inner_codecs_apart() {
        let id = |ms| Codec::<Windowed<String>>::id(&time_windowed(utf8(), ms));
        assert_eq!(id(5), id(5));
        assert_ne!(id(5), id(6));
        let numbers = Codec::<Windowed<i64>>::id(&session_windowed(i64_be()));
        assert_ne!(Codec::<Windowed<String>>::id(&session_windowed(utf8())), numbers);
    }
}
