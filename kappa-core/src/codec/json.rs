//! JSON.

use super::{Codec, CodecError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// JSON of a serde type.
pub struct Json<T>(PhantomData<fn() -> T>);

/// JSON of a serde type. The type is inferred where it can be; else `json::<Flight>()`.
///
/// Equal values must give equal bytes, so use types whose fields have an order: structs and `BTreeMap`,
/// not `HashMap`.
pub fn json<T>() -> Json<T> {
    Json(PhantomData)
}

impl<T: Serialize + DeserializeOwned + 'static> Codec<T> for Json<T> {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(out, value).map_err(CodecError::new)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|error| CodecError::new(format_args!("not the JSON expected: {error}")))
    }
}

impl<T> Clone for Json<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compact_and_errors_say_where() {
        let codec = json::<Vec<i32>>();
        let mut out = Vec::new();
        codec.encode(&vec![1, 2], &mut out).unwrap();
        assert_eq!(out, b"[1,2]");
        assert_eq!(codec.decode(b" [1, 2]").unwrap(), [1, 2]);
        let error = codec.decode(b"[1,").unwrap_err().reason;
        assert!(error.contains("line 1 column 3"), "{error}");
    }
}
