//! Values that stay the bytes they are until somebody looks.

use crate::{Codec, CodecError};
use std::cell::OnceCell;
use std::fmt;

/// A value as its codec has written it, decoded at most once, when somebody first looks.
///
/// For stores whose values come and go as bytes more often than they are read.
pub struct Held<V> {
    bytes: Box<[u8]>,
    decoded: OnceCell<V>,
}

impl<V: 'static> Held<V> {
    /// A value of which there are only the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), decoded: OnceCell::new() }
    }

    /// A value with its bytes.
    pub fn with(bytes: &[u8], value: V) -> Self {
        Self { bytes: bytes.into(), decoded: OnceCell::from(value) }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value, decoded now if it wasn't yet.
    pub fn get(&self, codec: &dyn Codec<V>) -> Result<&V, CodecError> {
        if let Some(value) = self.decoded.get() {
            return Ok(value);
        }
        let value = codec.decode(&self.bytes)?;
        Ok(self.decoded.get_or_init(|| value))
    }
}

impl<V> fmt::Debug for Held<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.bytes).finish()
    }
}

/// The codec of held values: the bytes as they are.
#[derive(Debug, Clone, Copy)]
pub struct HeldCodec;

impl<V: Send + 'static> Codec<Held<V>> for HeldCodec {
    fn encode(&self, held: &Held<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&held.bytes);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Held<V>, CodecError> {
        Ok(Held::of(bytes))
    }
}
