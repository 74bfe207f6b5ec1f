//! Null as a value.

use super::{Codec, CodecError, CodecId};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Reads Kafka's null as `None` and everything else with the codec inside.
#[derive(Debug, Clone)]
pub struct Nullable<C>(C);

/// Makes Kafka's null a value: reads it as `None`, and everything else with `codec` as `Some`.
///
/// Without it a record whose value is null passes through stateless operators untouched and deletes in
/// tables, and a record whose key is null can't be decoded.
pub fn nullable<C>(codec: C) -> Nullable<C> {
    Nullable(codec)
}

impl<T, C: Codec<T>> Codec<Option<T>> for Nullable<C> {
    fn encode(&self, value: &Option<T>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match value {
            Some(value) => self.0.encode(value, out),
            None => Ok(()),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<T>, CodecError> {
        self.0.decode(bytes).map(Some)
    }

    fn null(&self) -> Option<Option<T>> {
        Some(None)
    }

    fn is_null(&self, value: &Option<T>) -> bool {
        value.is_none()
    }

    fn id(&self) -> CodecId {
        let mut hasher = DefaultHasher::new();
        self.0.id().hash(&mut hasher);
        CodecId::with_variant::<Self>(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{i64_be, utf8};
    use super::*;

    #[test]
    fn null_is_none_and_the_rest_is_the_inner_codecs() {
        let codec = nullable(utf8());
        assert_eq!(codec.null(), Some(None));
        assert!(codec.is_null(&None));
        assert!(!codec.is_null(&Some(String::new())), "an empty text is not null");
        assert_eq!(codec.decode(b"x").unwrap(), Some("x".to_owned()));
        let mut out = Vec::new();
        codec.encode(&Some("x".to_owned()), &mut out).unwrap();
        assert_eq!(out, b"x");
    }

    #[test]
    fn the_id_tells_inner_codecs_apart() {
        assert_eq!(nullable(utf8()).id(), nullable(utf8()).id());
        assert_ne!(Codec::<Option<String>>::id(&nullable(utf8())), Codec::<Option<i64>>::id(&nullable(i64_be())));
    }
}
