//! Postcard, a compact binary form of serde types.

use super::{Codec, CodecError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// Postcard of a serde type: small and fast, for topics that only Rust programs read.
pub struct Postcard<T>(PhantomData<fn() -> T>);

/// Postcard of a serde type: small and fast, for topics that only Rust programs read.
///
/// Equal values must give equal bytes, so use types whose fields have an order: structs and `BTreeMap`,
/// not `HashMap`.
pub fn postcard<T>() -> Postcard<T> {
    Postcard(PhantomData)
}

impl<T: Serialize + DeserializeOwned + 'static> Codec<T> for Postcard<T> {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let taken = std::mem::take(out);
        *out = ::postcard::to_extend(value, taken).map_err(CodecError::new)?;
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        match ::postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(CodecError::new(format_args!("{} bytes too many", rest.len()))),
            Err(error) => Err(CodecError::new(error)),
        }
    }
}

impl<T> Clone for Postcard<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Postcard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postcard")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the wire format's specification: a varint length, then the bytes; integers as zigzag varints.
    #[test]
    fn postcard_appends_its_wire_format() {
        let codec = postcard::<(String, i32)>();
        let mut out = vec![7];
        codec.encode(&("ab".to_owned(), -1), &mut out).unwrap();
        assert_eq!(out, [7, 2, b'a', b'b', 1]);
        assert_eq!(codec.decode(&out[1..]).unwrap(), ("ab".to_owned(), -1));
        assert_eq!(codec.decode(&[0, 0, 0]).unwrap_err().reason, "1 bytes too many");
    }
}
