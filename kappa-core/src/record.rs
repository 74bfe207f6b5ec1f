//! Records as operators see them: key, value, timestamp and headers, passed by reference.
//!
//! **Invariants:**
//! - A [`Lazy`] with bytes and a value holds both of the same thing: the bytes are what its codec wrote.
//! - Bytes are decoded at most once, when somebody first looks, and stay with the value while it is
//!   unchanged, so that what was only passed on or re-keyed is never encoded again.

use crate::codec::{CodecError, CodecId, SharedCodec};
use crate::log::Headers;
use crate::task::ProcessError;
use std::cell::OnceCell;
use std::fmt;

/// A key or a value: decoded, or still the bytes it came in, or both.
pub struct Lazy<'r, T> {
    state: State<'r, T>,
    wire: Option<Wire<'r>>,
}

enum State<'r, T> {
    Owned(T),
    Borrowed(&'r T),
    Encoded { codec: &'r SharedCodec<T>, decoded: OnceCell<T> },
}

#[derive(Clone, Copy)]
struct Wire<'r> {
    codec: CodecId,
    /// `None` is Kafka's null.
    bytes: Option<&'r [u8]>,
}

impl<'r, T: 'static> Lazy<'r, T> {
    /// A new value, without bytes.
    pub(crate) fn ready(value: T) -> Self {
        Self { state: State::Owned(value), wire: None }
    }

    /// A value that lives elsewhere, with its bytes.
    pub(crate) fn borrowed(value: &'r T, bytes: Option<(CodecId, &'r [u8])>) -> Self {
        let wire = bytes.map(|(codec, bytes)| Wire { codec, bytes: Some(bytes) });
        Self { state: State::Borrowed(value), wire }
    }

    /// Bytes to be decoded when somebody looks; `None` where they are Kafka's null and the codec has no
    /// value for it.
    pub(crate) fn encoded(codec: &'r SharedCodec<T>, bytes: Option<&'r [u8]>) -> Option<Self> {
        let wire = Some(Wire { codec: codec.id, bytes });
        let state = match bytes {
            Some(_) => State::Encoded { codec, decoded: OnceCell::new() },
            None => State::Owned(codec.codec.null()?),
        };
        Some(Self { state, wire })
    }

    /// The value, decoded now if it wasn't yet.
    pub fn get(&self) -> Result<&T, CodecError> {
        match &self.state {
            State::Owned(value) => Ok(value),
            State::Borrowed(value) => Ok(value),
            State::Encoded { codec, decoded } => {
                if let Some(value) = decoded.get() {
                    return Ok(value);
                }
                let bytes = self.wire.and_then(|wire| wire.bytes).unwrap_or_default();
                let value = codec.codec.decode(bytes)?;
                Ok(decoded.get_or_init(|| value))
            }
        }
    }

    /// The bytes it came in, where it is still nothing but these.
    pub(crate) fn unread(&self) -> Option<&'r [u8]> {
        match &self.state {
            State::Encoded { decoded, .. } if decoded.get().is_none() => self.wire.and_then(|wire| wire.bytes),
            _ => None,
        }
    }

    /// The bytes as `codec` writes them, where they are at hand.
    pub(crate) fn bytes(&self, codec: &SharedCodec<T>) -> Option<Option<&[u8]>> {
        self.wire.filter(|wire| wire.codec == codec.id).map(|wire| wire.bytes)
    }

    /// Appends the bytes as `codec` writes them; false for Kafka's null.
    pub(crate) fn write(&self, codec: &SharedCodec<T>, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        match self.bytes(codec) {
            Some(Some(bytes)) => {
                out.extend_from_slice(bytes);
                Ok(true)
            }
            Some(None) => Ok(false),
            None => {
                let value = self.get()?;
                if codec.codec.is_null(value) {
                    return Ok(false);
                }
                codec.codec.encode(value, out).map(|()| true)
            }
        }
    }
}

impl<T> fmt::Debug for Lazy<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy").field("bytes", &self.wire.and_then(|wire| wire.bytes)).finish_non_exhaustive()
    }
}

/// A record on its way from operator to operator.
pub struct Record<'r, K, V> {
    /// The key.
    pub key: &'r Lazy<'r, K>,
    /// The value; `None` is Kafka's null, which deletes in tables.
    pub value: Option<&'r Lazy<'r, V>>,
    /// Event time, ms since 1970.
    pub timestamp_ms: i64,
    /// The headers, which every operator passes on.
    pub headers: &'r Headers,
    /// On a table's edge the value before, where somebody downstream has asked for it (Kafka Streams: `Change.oldValue`).
    pub(crate) old: Option<&'r Lazy<'r, V>>,
    /// False on a versioned table's edge where a newer version of the key exists (Kafka Streams: `Change.isLatest`).
    pub(crate) latest: bool,
}

impl<'r, K, V> Record<'r, K, V> {
    /// A record of a stream: no value before it, and the latest.
    pub(crate) fn new(
        key: &'r Lazy<'r, K>,
        value: Option<&'r Lazy<'r, V>>,
        timestamp_ms: i64,
        headers: &'r Headers,
    ) -> Self {
        Self { key, value, timestamp_ms, headers, old: None, latest: true }
    }
}

impl<'r, K: 'static, V: 'static> Record<'r, K, V> {
    /// The record with another timestamp.
    #[must_use]
    pub fn with_timestamp(self, timestamp_ms: i64) -> Self {
        Self { timestamp_ms, ..self }
    }

    /// The record with other headers.
    #[must_use]
    pub fn with_headers<'h>(self, headers: &'h Headers) -> Record<'h, K, V>
    where
        'r: 'h,
    {
        Record { headers, ..self }
    }

    /// The key, decoded.
    pub fn key(&self) -> Result<&'r K, ProcessError> {
        self.key.get().map_err(|error| ProcessError::Undecodable { part: "key", reason: error.reason })
    }

    /// The value, decoded; `None` where it is null.
    pub fn value(&self) -> Result<Option<&'r V>, ProcessError> {
        let Some(value) = self.value else { return Ok(None) };
        match value.get() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(ProcessError::Undecodable { part: "value", reason: error.reason }),
        }
    }

    /// The value before, decoded; `None` where there was none or nobody has asked for it.
    pub(crate) fn old(&self) -> Result<Option<&'r V>, ProcessError> {
        let Some(old) = self.old else { return Ok(None) };
        match old.get() {
            Ok(old) => Ok(Some(old)),
            Err(error) => Err(ProcessError::Undecodable { part: "value", reason: error.reason }),
        }
    }
}

impl<K, V> Clone for Record<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Record<'_, K, V> {}

impl<K, V> fmt::Debug for Record<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("key", &self.key)
            .field("value", &self.value)
            .field("timestamp_ms", &self.timestamp_ms)
            .finish_non_exhaustive()
    }
}
