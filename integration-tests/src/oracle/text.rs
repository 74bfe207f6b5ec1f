//! How keys and values are written and shown: text inside, as the judge has it.

use kappa_core::codec::{Codec, CodecError};
use std::fmt::Write as _;
use std::marker::PhantomData;

/// Between the parts of a windowed key on a sink.
pub const SEPARATOR: char = '\0';

/// The codec of all inputs, stores and internal topics: UTF-8, but `poison` can't be decoded.
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl Codec<String> for Text {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        match std::str::from_utf8(bytes) {
            Ok("poison") => Err(CodecError::new("poison")),
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(CodecError::new(error)),
        }
    }
}

/// What can be shown on a sink.
pub trait Shown: Send + 'static {
    /// Its text; `None` for null. A windowed key is shown as key, start and end with [`SEPARATOR`]s between.
    fn shown(&self) -> Option<String>;
}

impl Shown for String {
    fn shown(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Shown for i64 {
    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> Option<String> {
        self.as_ref()?.shown()
    }
}

/// A windowed key as sinks show it.
pub fn windowed(key: &str, start: i64, end: i64) -> String {
    let mut text = key.to_owned();
    let _ = write!(text, "{SEPARATOR}{start}{SEPARATOR}{end}");
    text
}

/// The codec of sinks: text of whatever it is; it only writes.
pub struct Sink<T>(PhantomData<fn() -> T>);

/// The codec of sinks.
pub fn sink<T>() -> Sink<T> {
    Sink(PhantomData)
}

impl<T> std::fmt::Debug for Sink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}

impl<T: Shown> Codec<T> for Sink<T> {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.shown().unwrap_or_default().as_bytes());
        Ok(())
    }

    fn decode(&self, _bytes: &[u8]) -> Result<T, CodecError> {
        Err(CodecError::new("sinks are not read"))
    }

    fn is_null(&self, value: &T) -> bool {
        value.shown().is_none()
    }
}
