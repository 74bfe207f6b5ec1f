//! How values become bytes and come back.

use std::any::TypeId;
use std::fmt;

/// Says which encoding bytes are in, so that bytes read with one codec can be passed on unchanged
/// where an equal codec would write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodecId {
    codec: TypeId,
    /// Distinguishes differently configured codecs of one type; 0 where there is nothing to configure.
    variant: u64,
}

impl CodecId {
    /// The id of a codec type that has nothing to configure.
    pub fn of<C: ?Sized + 'static>() -> Self {
        Self { codec: TypeId::of::<C>(), variant: 0 }
    }

    /// The id of a codec type with a number for its configuration.
    pub fn with_variant<C: ?Sized + 'static>(variant: u64) -> Self {
        Self { codec: TypeId::of::<C>(), variant }
    }
}

/// Why bytes could not be read, or a value not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CodecError {
    /// In words.
    pub reason: String,
}

impl CodecError {
    /// An error with a reason in words.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}

/// Encodes and decodes values of one type (Kafka Streams: `Serde`).
///
/// Encoding must be deterministic: equal values give equal bytes. Decoding what `encode` wrote gives an
/// equal value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no codec of `{T}`",
    label = "writes and reads something else than `{T}`",
    note = "use the codec of the type: `utf8()` for String, `i64_be()` and its kin for numbers, `json()` or `postcard()` for types with serde, \
            or `impl Codec<{T}>` for a type of your own"
)]
pub trait Codec<T>: Send + Sync + fmt::Debug + 'static {
    /// Appends the value's bytes to `out`.
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a value from all of `bytes`.
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError>;

    /// Whether [`Codec::decode`] would succeed, and if not why.
    ///
    /// Bytes are checked where they enter, also where nobody looks at the value afterwards (records that are only
    /// counted, or passed on). The default decodes and throws the value away; a codec that can tell without making the
    /// value, because it need not copy strings, is spared that. It must accept and refuse exactly what `decode` does.
    fn check(&self, bytes: &[u8]) -> Result<(), CodecError> {
        self.decode(bytes).map(drop)
    }

    /// The value that Kafka's null stands for; `None` where null is no value of this type.
    fn null(&self) -> Option<T> {
        None
    }

    /// Whether this value is written as Kafka's null.
    fn is_null(&self, _value: &T) -> bool {
        false
    }

    /// The part of an encoded key that decides which partition of a topic it belongs to: all of it, unless said otherwise.
    fn partition_by<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        bytes
    }

    /// Which encoding this is.
    ///
    /// The default is right for codec types that have nothing to configure.
    fn id(&self) -> CodecId {
        CodecId::of::<Self>()
    }
}
