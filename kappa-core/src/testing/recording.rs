//! What a test did, to be done again.

use super::TestError;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};

/// One thing that was done to a topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// A record was piped in.
    Record {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The timestamp, ms.
        timestamp_ms: i64,
        /// The key's bytes.
        #[serde(with = "text", default, skip_serializing_if = "Option::is_none")]
        key: Option<Vec<u8>>,
        /// The value's bytes.
        #[serde(with = "text", default, skip_serializing_if = "Option::is_none")]
        value: Option<Vec<u8>>,
        /// The headers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<RecordedHeader>,
    },
    /// The wall clock moved by so many ms.
    AdvanceMs(i64),
    /// All tasks were committed.
    Commit,
}

/// A header of a recorded record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedHeader {
    /// The name.
    pub name: String,
    /// The value's bytes.
    #[serde(with = "text", default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Vec<u8>>,
}

/// What was done to a topology, in order: see [`TestDriver::recording`](super::TestDriver::recording).
///
/// As a file it is JSON, a step a line, bytes as text where they are UTF-8 and otherwise as `{"hex": "…"}`; so that input can
/// be recorded elsewhere too, and corrected by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// The steps.
    pub steps: Vec<Recorded>,
}

impl Recording {
    /// Reads a file that [`write`](Self::write) wrote.
    pub fn read(from: impl BufRead) -> Result<Self, TestError> {
        let mut steps = Vec::new();
        for (number, line) in from.lines().enumerate() {
            let failed = |reason: String| TestError::Recording { line: number + 1, reason };
            let line = line.map_err(|error| failed(error.to_string()))?;
            if !line.trim().is_empty() {
                steps.push(serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?);
            }
        }
        Ok(Self { steps })
    }

    /// Writes it, a step a line.
    pub fn write(&self, mut to: impl Write) -> Result<(), TestError> {
        for (number, step) in self.steps.iter().enumerate() {
            let failed = |reason: String| TestError::Recording { line: number + 1, reason };
            let line = serde_json::to_string(step).map_err(|error| failed(error.to_string()))?;
            writeln!(to, "{line}").map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }
}

/// Bytes as text where they are.
mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use std::fmt::Write as _;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Bytes {
        Text(String),
        Hex { hex: String },
    }

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        let shown = bytes.as_ref().map(|bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text.to_owned()),
            Err(_) => {
                let mut hex = String::with_capacity(bytes.len() * 2);
                bytes.iter().for_each(|byte| {
                    let _ = write!(hex, "{byte:02x}");
                });
                Bytes::Hex { hex }
            }
        });
        shown.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(shown) = Option::<Bytes>::deserialize(from)? else { return Ok(None) };
        match shown {
            Bytes::Text(text) => Ok(Some(text.into_bytes())),
            Bytes::Hex { hex } if hex.is_ascii() && hex.len() % 2 == 0 => {
                let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).map_err(D::Error::custom);
                (0..hex.len()).step_by(2).map(byte).collect::<Result<_, _>>().map(Some)
            }
            Bytes::Hex { hex } => Err(D::Error::custom(format_args!("{hex:?} is not pairs of hexadecimal digits"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_back_and_shows_text() {
        let record = |key: Option<&[u8]>, value: Option<&[u8]>| Recorded::Record {
            topic: "in".into(),
            partition: 1,
            timestamp_ms: 7,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: vec![RecordedHeader { name: "h".into(), value: None }],
        };
        let steps = vec![
            record(Some(b"k"), Some(&[0xff, 0x00])),
            record(None, Some(b"")),
            Recorded::AdvanceMs(5),
            Recorded::Commit,
        ];
        let recording = Recording { steps };
        let mut file = Vec::new();
        recording.write(&mut file).unwrap();
        let text = String::from_utf8(file.clone()).unwrap();
        assert!(
            text.starts_with(
                r#"{"record":{"topic":"in","partition":1,"timestamp_ms":7,"key":"k","value":{"hex":"ff00"}"#
            ),
            "{text}"
        );
        assert!(text.ends_with("{\"advance_ms\":5}\n\"commit\"\n"), "{text}");
        assert_eq!(Recording::read(&file[..]).unwrap(), recording);
        let error = Recording::read(&b"\"commit\"\nnonsense\n"[..]).unwrap_err();
        assert!(error.to_string().starts_with("recording, line 2: "), "{error}");
    }
}
