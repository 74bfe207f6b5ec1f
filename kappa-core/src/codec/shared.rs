//! A codec as operators hold it.

use super::{Codec, CodecError, CodecId};
use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A shared codec with its id and name looked up once.
pub(crate) struct SharedCodec<T> {
    pub(crate) codec: Arc<dyn Codec<T>>,
    pub(crate) id: CodecId,
    /// The codec's type and the value's, for fingerprints and messages.
    pub(crate) name: Arc<str>,
    /// Keys are partitioned by all of their bytes.
    pub(super) whole: bool,
}

/// Which bytes stand for which values: two places that read one topic must agree on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    codec: CodecId,
    value: TypeId,
    pub(crate) name: Arc<str>,
}

impl<T: 'static> SharedCodec<T> {
    pub(crate) fn new<C: Codec<T>>(codec: C) -> Self {
        let id = codec.id();
        let name = format!("{} of {}", type_name::<C>(), type_name::<T>()).into();
        const PROBE: [u8; 64] = [0; 64];
        let whole = codec.partition_by(&PROBE).len() == PROBE.len();
        Self { codec: Arc::new(codec), id, name, whole }
    }

    /// What a key is partitioned by, of its bytes.
    #[inline]
    pub(crate) fn partition_by<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        if self.whole { bytes } else { self.codec.partition_by(bytes) }
    }

    pub(crate) fn form(&self) -> Form {
        Form { codec: self.id, value: TypeId::of::<T>(), name: Arc::clone(&self.name) }
    }

    /// Stands where a codec is missing, in a topology that will be refused.
    pub(crate) fn missing() -> Self {
        Self::new(Missing::<T>(PhantomData))
    }
}

impl<T> Clone for SharedCodec<T> {
    fn clone(&self) -> Self {
        Self { codec: Arc::clone(&self.codec), id: self.id, name: Arc::clone(&self.name), whole: self.whole }
    }
}

impl<T> fmt::Debug for SharedCodec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
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
