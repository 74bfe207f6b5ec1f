//! What can be asked of a task that has parked records: the records of the control topic.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A command to the task that has parked a key. It is the value of a record in the control topic, as JSON, in the partition where
/// the key is parked; the record's key and timestamp mean nothing.
///
/// ```
/// use kappa_core::parking::ParkingCommand;
///
/// let release = ParkingCommand::release("flights", "LH1");
/// assert_eq!(release.to_bytes(), br#"{"command":"release","topic":"flights","key":"LH1"}"#);
/// assert_eq!(ParkingCommand::from_bytes(&release.to_bytes()), Ok(release));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ParkingCommand {
    /// Processes the parked records of a key in order, until one fails or none is left.
    Release {
        /// The source as the topology names it, without the application id.
        topic: String,
        /// The key's bytes.
        key: ParkedBytes,
    },
    /// Releases every key that is parked in the partition.
    ReleaseAll {},
    /// Throws the first parked record of a key away. Those behind it stay parked.
    DiscardFirst {
        /// The source as the topology names it, without the application id.
        topic: String,
        /// The key's bytes.
        key: ParkedBytes,
    },
    /// Throws all parked records of a key away; the key is free then.
    DiscardKey {
        /// The source as the topology names it, without the application id.
        topic: String,
        /// The key's bytes.
        key: ParkedBytes,
    },
}

impl ParkingCommand {
    /// Releases a key.
    pub fn release(topic: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        Self::Release { topic: topic.into(), key: ParkedBytes(key.into()) }
    }

    /// Releases all keys of a partition.
    pub fn release_all() -> Self {
        Self::ReleaseAll {}
    }

    /// Throws the first parked record of a key away.
    pub fn discard_first(topic: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        Self::DiscardFirst { topic: topic.into(), key: ParkedBytes(key.into()) }
    }

    /// Throws all parked records of a key away.
    pub fn discard_key(topic: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        Self::DiscardKey { topic: topic.into(), key: ParkedBytes(key.into()) }
    }

    /// The topic it is about; `None` where it is about all.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Release { topic, .. } | Self::DiscardFirst { topic, .. } | Self::DiscardKey { topic, .. } => {
                Some(topic)
            }
            Self::ReleaseAll {} => None,
        }
    }

    /// As the value of a control record.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a command holds nothing but strings")
    }

    /// From the value of a control record; else what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// Bytes of a key; in JSON text where they are UTF-8, else `{"hex": "…"}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParkedBytes(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Hex { hex: String },
}

impl Serialize for ParkedBytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Written::Text(text.to_owned()),
            Err(_) => Written::Hex { hex: self.hex() },
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for ParkedBytes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = |text: &str| serde::de::Error::custom(format_args!("{text:?} is not pairs of hexadecimal digits"));
        match Written::deserialize(from)? {
            Written::Text(text) => Ok(Self(text.into_bytes())),
            Written::Hex { hex } => Self::from_hex(&hex).ok_or_else(|| wrong(&hex)),
        }
    }
}

impl ParkedBytes {
    /// Bytes written as pairs of hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
        (0..hex.len()).step_by(2).map(byte).collect::<Option<_>>().map(Self)
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Text where it is UTF-8 that can be shown, else `0x` and hexadecimal digits.
impl fmt::Display for ParkedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => write!(f, "0x{}", self.hex()),
        }
    }
}

impl fmt::Debug for ParkedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_back_and_others_are_refused() {
        let commands = [
            ParkingCommand::release("in", [0xff, 0x00]),
            ParkingCommand::release_all(),
            ParkingCommand::discard_first("in", "k"),
            ParkingCommand::discard_key("in", ""),
        ];
        for command in commands {
            assert_eq!(ParkingCommand::from_bytes(&command.to_bytes()), Ok(command));
        }
        let hex = ParkingCommand::release("in", [0xff, 0x00]).to_bytes();
        assert_eq!(hex, br#"{"command":"release","topic":"in","key":{"hex":"ff00"}}"#);
        for wrong in [
            &b"release"[..],
            br#"{"command":"forget"}"#,
            br#"{"command":"release","topic":"in"}"#,
            br#"{"command":"release","topic":"in","key":{"hex":"f"}}"#,
            br#"{"command":"release-all","key":"k"}"#,
        ] {
            let read = ParkingCommand::from_bytes(wrong);
            assert!(read.is_err(), "{} was read as {read:?}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn bytes_are_shown_as_text_where_that_is_what_they_are() {
        assert_eq!(ParkedBytes(b"LH 1".to_vec()).to_string(), "LH 1");
        assert_eq!(ParkedBytes(vec![0, 255]).to_string(), "0x00ff");
        assert_eq!(ParkedBytes(b"a\nb".to_vec()).to_string(), "0x610a62");
    }
}
