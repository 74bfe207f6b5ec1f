//! A codec as operators hold it.

use super::{Codec, CodecError, CodecId};
use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A shared codec with its id and name looked up once.
pub(crate) struct SharedCodec<T> {
    pub(crate) codec: Arc<dyn Codec<T>>,
    pub(crate) id: CodecId,
    /// The codec's type, for fingerprints and messages.
    pub(crate) name: &'static str,
}

impl<T: 'static> SharedCodec<T> {
    pub(crate) fn new<C: Codec<T>>(codec: C) -> Self {
        let id = codec.id();
        Self { codec: Arc::new(codec), id, name: type_name::<C>() }
    }

    /// Stands where a codec is missing, in a topology that will be refused.
    pub(crate) fn missing() -> Self {
        Self::new(Missing::<T>(PhantomData))
    }
}

impl<T> Clone for SharedCodec<T> {
    fn clone(&self) -> Self {
        Self { codec: Arc::clone(&self.codec), id: self.id, name: self.name }
    }
}

impl<T> fmt::Debug for SharedCodec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

struct Missing<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Missing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Missing")
    }
}

impl<T: 'static> Codec<T> for Missing<T> {
    fn encode(&self, _value: &T, _out: &mut Vec<u8>) -> Result<(), CodecError> {
        Err(CodecError::new("no codec was given"))
    }

    fn decode(&self, _bytes: &[u8]) -> Result<T, CodecError> {
        Err(CodecError::new("no codec was given"))
    }
}
