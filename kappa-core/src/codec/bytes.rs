//! Bytes as they are.

use super::{Codec, CodecError};

/// Bytes as they are, as Java's `ByteArraySerializer`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bytes;

/// Bytes as they are, as Java's `ByteArraySerializer`.
pub fn bytes() -> Bytes {
    Bytes
}

impl Codec<Vec<u8>> for Bytes {
    fn encode(&self, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_unchanged() {
        let mut out = vec![9];
        bytes().encode(&vec![0, 255], &mut out).unwrap();
        assert_eq!(out, [9, 0, 255]);
        assert_eq!(bytes().decode(&[0, 255]).unwrap(), [0, 255]);
    }
}
