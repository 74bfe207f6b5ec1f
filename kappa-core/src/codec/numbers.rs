//! Numbers of fixed size, big-endian.

use super::{Codec, CodecError};

macro_rules! number {
    ($codec:ident, $make:ident, $number:ty, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $codec;

        #[doc = $doc]
        pub fn $make() -> $codec {
            $codec
        }

        impl Codec<$number> for $codec {
            fn encode(&self, value: &$number, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }

            fn decode(&self, bytes: &[u8]) -> Result<$number, CodecError> {
                const LEN: usize = size_of::<$number>();
                match bytes.try_into() {
                    Ok(bytes) => Ok(<$number>::from_be_bytes(bytes)),
                    Err(_) => Err(CodecError::new(format_args!("expected {LEN} bytes, found {}", bytes.len()))),
                }
            }
        }
    };
}

number!(I16Be, i16_be, i16, "Two bytes, big-endian, as Java's `ShortSerializer`.");
number!(I32Be, i32_be, i32, "Four bytes, big-endian, as Java's `IntegerSerializer`.");
number!(I64Be, i64_be, i64, "Eight bytes, big-endian, as Java's `LongSerializer`.");
number!(U32Be, u32_be, u32, "Four bytes, big-endian, unsigned: bytes sort as the numbers do.");
number!(U64Be, u64_be, u64, "Eight bytes, big-endian, unsigned: bytes sort as the numbers do.");
number!(F32Be, f32_be, f32, "IEEE 754, four bytes, big-endian, as Java's `FloatSerializer`.");
number!(F64Be, f64_be, f64, "IEEE 754, eight bytes, big-endian, as Java's `DoubleSerializer`.");

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn vector<T: PartialEq + std::fmt::Debug>(codec: impl Codec<T>, value: T, bytes: &[u8]) {
        let mut out = Vec::new();
        codec.encode(&value, &mut out).unwrap();
        assert_eq!(out, bytes);
        assert_eq!(codec.decode(bytes).unwrap(), value);
        assert!(codec.decode(&bytes[1..]).is_err());
    }

    /// What Java's serializers write: two's complement and IEEE 754 bits, most significant byte first.
    #[test]
    fn numbers_equal_javas() {
        vector(i16_be(), -2, &[0xff, 0xfe]);
        vector(i32_be(), 1_000_000, &[0x00, 0x0f, 0x42, 0x40]);
        vector(i64_be(), 5, &[0, 0, 0, 0, 0, 0, 0, 5]);
        vector(i64_be(), -1, &[0xff; 8]);
        vector(i64_be(), i64::MIN, &[0x80, 0, 0, 0, 0, 0, 0, 0]);
        vector(u32_be(), u32::MAX, &[0xff; 4]);
        vector(u64_be(), 256, &[0, 0, 0, 0, 0, 0, 1, 0]);
        vector(f32_be(), 1.5, &[0x3f, 0xc0, 0, 0]);
        vector(f64_be(), -2.0, &[0xc0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_wrong_length_says_so() {
        assert_eq!(i64_be().decode(&[1, 2]).unwrap_err().reason, "expected 8 bytes, found 2");
    }
}
