//! Topics without keys.

use super::{Codec, CodecError};

/// The codec of keys that nobody looks at; the key's type is `()`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unkeyed;

/// For topics without keys, or whose keys don't matter: the key's type is `()`.
///
/// Any key is accepted, null included. Where a record is passed on with its key untouched, the bytes it
/// came with are kept; a new `()` is written as null.
pub fn unkeyed() -> Unkeyed {
    Unkeyed
}

impl Codec<()> for Unkeyed {
    fn encode(&self, (): &(), _out: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(&self, _bytes: &[u8]) -> Result<(), CodecError> {
        Ok(())
    }

    fn null(&self) -> Option<()> {
        Some(())
    }

    fn is_null(&self, (): &()) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_is_a_unit_and_a_unit_is_null() {
        assert_eq!(unkeyed().decode(b"whatever"), Ok(()));
        assert_eq!(unkeyed().null(), Some(()));
        assert!(unkeyed().is_null(&()));
    }
}
