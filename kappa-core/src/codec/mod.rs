//! Codecs: how keys and values become bytes and come back (Kafka Streams: serdes).
//!
//! What Kafka's own Java serializers write is written here byte for byte: [`utf8()`], the integers and
//! floats ([`i64_be`] and its kin, big-endian), [`bytes()`]. For structured values there are [`json()`] and
//! [`postcard()`]; [`nullable()`] makes Kafka's null a value, [`unkeyed()`] is for topics without keys,
//! [`time_windowed()`] and [`session_windowed()`] for keys in windows.
//! A codec of your own is one `impl` of [`Codec`].
//!
//! ```
//! use kappa_core::codec::{Codec, i64_be, utf8};
//!
//! let mut bytes = Vec::new();
//! i64_be().encode(&1, &mut bytes)?;
//! assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 1]); // as Java's LongSerializer
//! assert_eq!(utf8().decode(b"PRG")?, "PRG");
//! # Ok::<(), kappa_core::codec::CodecError>(())
//! ```

mod bytes;
mod json;
mod nullable;
mod numbers;
mod postcard;
mod shared;
mod unkeyed;
mod utf8;
mod windowed;

pub use bytes::{Bytes, bytes};
pub use json::{Json, json};
pub use kappa_state::{Codec, CodecError, CodecId};
pub use nullable::{Nullable, nullable};
pub use numbers::{
    F32Be, F64Be, I16Be, I32Be, I64Be, U32Be, U64Be, f32_be, f64_be, i16_be, i32_be, i64_be, u32_be, u64_be,
};
pub use postcard::{Postcard, postcard};
pub(crate) use shared::{Form, SharedCodec};
pub use unkeyed::{Unkeyed, unkeyed};
pub use utf8::{Utf8, utf8};
pub use windowed::{SessionWindowed, TimeWindowed, session_windowed, time_windowed};
pub(crate) use windowed::{shared_session_windowed, shared_time_windowed};
