//! Text.

use super::{Codec, CodecError};

/// Text in UTF-8, as Java's `StringSerializer`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Utf8;

/// Text in UTF-8, as Java's `StringSerializer`.
pub fn utf8() -> Utf8 {
    Utf8
}

impl Codec<String> for Utf8 {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(CodecError::new(format_args!("not UTF-8 text: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_its_utf8_bytes() {
        let mut out = Vec::new();
        utf8().encode(&"Plzeň".to_owned(), &mut out).unwrap();
        assert_eq!(out, [b'P', b'l', b'z', b'e', 0xc5, 0x88]);
        assert_eq!(utf8().decode(&out).unwrap(), "Plzeň");
        assert!(utf8().decode(&[0xc5]).unwrap_err().reason.starts_with("not UTF-8 text"));
    }
}
