//! The parking store byte by byte: what its rows, and so the records of the parking topic, look like. Numbers are big-endian.
//!
//! Keys, ordered so that the records of a parked key follow each other as they came:
//!
//! | key | row |
//! | --- | --- |
//! | `00` | totals |
//! | `01`, u64 number | a command that is waited for, the oldest first |
//! | `02`, u16 length and topic, u32 length and key, u64 `0` | the head of a parked key |
//! | `02`, u16 length and topic, u32 length and key, u64 number | a parked record, numbered from 1 |
//!
//! The topic is the source's as the topology names it, without the application id.
//!
//! Values begin with the version of the format, 1, and the kind of the row. A text or bytes is its u32 length and that; bytes that
//! may be null have an i32 length, -1 for null.
//!
//! | kind | then |
//! | --- | --- |
//! | 0, totals | u64 parked keys, u64 parked records, u64 number of the first command, u64 number of the next |
//! | 1, command | bytes: the key of the head up to which it is done (empty at first), bytes: the command as JSON |
//! | 2, head | u64 number of the first record, u64 number of the next, i32 partition, i64 offset of the first record, text operator, text reason it failed for |
//! | 3, record | i32 partition, i64 offset, i64 timestamp in ms, u32 headers (each text name, nullable value), nullable value |

use super::ParkingCommand;
use super::row::{Head, Pending, Record, Row, Totals};
use crate::codec::{Codec, CodecError};
use crate::log::{Header, Headers};

const VERSION: u8 = 1;
const TOTALS: u8 = 0;
const COMMAND: u8 = 1;
pub(super) const PARKED: u8 = 2;
const HEAD: u8 = 2;
const RECORD: u8 = 3;

/// The key of the totals.
pub(super) const TOTALS_KEY: &[u8] = &[TOTALS];

/// The key of a command.
pub(super) fn command_key(number: u64) -> Vec<u8> {
    [&[COMMAND][..], &number.to_be_bytes()].concat()
}

/// What the rows of a parked key begin with.
pub(super) fn prefix(topic: &str, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(topic.len() + key.len() + 15);
    bytes.push(PARKED);
    bytes.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&(key.len() as u32).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// The key of a row of a parked key; 0 for its head.
pub(super) fn row_key(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}

/// Topic, key and number of a row of a parked key.
pub(super) fn parts(row_key: &[u8]) -> Option<(&str, &[u8], u64)> {
    let mut read = Read(row_key.strip_prefix(&[PARKED])?);
    let length = read.array().map(u16::from_be_bytes).ok()?;
    let topic = std::str::from_utf8(read.take(length as usize).ok()?).ok()?;
    let key = read.bytes().ok()?;
    let number = read.u64().ok()?;
    read.0.is_empty().then_some((topic, key, number))
}

/// Rows as bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowCodec;

impl Codec<Row> for RowCodec {
    fn encode(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(VERSION);
        match row {
            Row::Totals(Totals { keys, records, first_command, next_command }) => {
                out.push(TOTALS);
                out.extend([keys, records, first_command, next_command].iter().flat_map(|number| number.to_be_bytes()));
            }
            Row::Command(Pending { done_until, command }) => {
                out.push(COMMAND);
                bytes(out, done_until);
                bytes(out, &command.to_bytes());
            }
            Row::Head(Head { first, next, partition, offset, operator, reason }) => {
                out.push(HEAD);
                out.extend([first, next].iter().flat_map(|number| number.to_be_bytes()));
                out.extend_from_slice(&partition.to_be_bytes());
                out.extend_from_slice(&offset.to_be_bytes());
                bytes(out, operator.as_bytes());
                bytes(out, reason.as_bytes());
            }
            Row::Record(Record { partition, offset, timestamp_ms, headers, value }) => {
                out.push(RECORD);
                out.extend_from_slice(&partition.to_be_bytes());
                out.extend([offset, timestamp_ms].iter().flat_map(|number| number.to_be_bytes()));
                out.extend_from_slice(&(headers.as_slice().len() as u32).to_be_bytes());
                for Header { name, value } in headers.as_slice() {
                    bytes(out, name.as_bytes());
                    nullable(out, value.as_deref());
                }
                nullable(out, value.as_deref());
            }
        }
        Ok(())
    }

    fn decode(&self, row: &[u8]) -> Result<Row, CodecError> {
        let mut read = Read(row);
        let [version, kind] = read.array()?;
        if version != VERSION {
            let reason = format!("parked rows of version {version}; this program knows version {VERSION}");
            return Err(CodecError::new(reason));
        }
        let row = match kind {
            TOTALS => Row::Totals(Totals {
                keys: read.u64()?,
                records: read.u64()?,
                first_command: read.u64()?,
                next_command: read.u64()?,
            }),
            COMMAND => Row::Command(Pending {
                done_until: read.bytes()?.to_vec(),
                command: ParkingCommand::from_bytes(read.bytes()?).map_err(CodecError::new)?,
            }),
            HEAD => Row::Head(Head {
                first: read.u64()?,
                next: read.u64()?,
                partition: read.i32()?,
                offset: read.i64()?,
                operator: read.text()?,
                reason: read.text()?,
            }),
            RECORD => Row::Record(Record {
                partition: read.i32()?,
                offset: read.i64()?,
                timestamp_ms: read.i64()?,
                headers: read.headers()?,
                value: read.nullable()?.map(<[u8]>::to_vec),
            }),
            other => return Err(CodecError::new(format!("a parked row of kind {other}"))),
        };
        if read.0.is_empty() { Ok(row) } else { Err(CodecError::new("bytes behind the end of a parked row")) }
    }
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn nullable(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => bytes(out, value),
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
}

/// What is left to be read.
struct Read<'b>(&'b [u8]);

impl<'b> Read<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], CodecError> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(CodecError::new("a parked row that is cut off"));
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| CodecError::new("a parked row that is cut off"))
    }

    fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, CodecError> {
        self.array().map(i64::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, CodecError> {
        self.array().map(i32::from_be_bytes)
    }

    fn bytes(&mut self) -> Result<&'b [u8], CodecError> {
        let length = self.array().map(u32::from_be_bytes)?;
        self.take(length as usize)
    }

    fn nullable(&mut self) -> Result<Option<&'b [u8]>, CodecError> {
        match self.i32()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).unwrap_or(usize::MAX)).map(Some),
        }
    }

    fn text(&mut self) -> Result<String, CodecError> {
        let bytes = self.bytes()?.to_vec();
        String::from_utf8(bytes).map_err(|error| CodecError::new(error.to_string()))
    }

    fn headers(&mut self) -> Result<Headers, CodecError> {
        let count = self.array().map(u32::from_be_bytes)?;
        (0..count).map(|_| Ok(Header { name: self.text()?.into(), value: self.nullable()?.map(Into::into) })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(row: Row) -> Vec<u8> {
        let mut bytes = Vec::new();
        RowCodec.encode(&row, &mut bytes).unwrap();
        assert_eq!(RowCodec.decode(&bytes).unwrap(), row);
        for cut in 0..bytes.len() {
            assert!(RowCodec.decode(&bytes[..cut]).is_err(), "{row:?} cut off at {cut}");
        }
        assert!(RowCodec.decode(&[&bytes[..], &[0]].concat()).is_err(), "{row:?} and one byte");
        bytes
    }

    #[test]
    fn a_record_is_written_byte_by_byte_as_documented() {
        let headers = Headers::empty().with("h", Some(b"x")).with("n", None);
        let record = Record { partition: 3, offset: 258, timestamp_ms: -1, headers, value: None };
        let bytes = there_and_back(Row::Record(record));
        let expected = [
            &[1, 3][..],
            &[0, 0, 0, 3],
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[255; 8],
            &[0, 0, 0, 2],
            &[0, 0, 0, 1, b'h', 0, 0, 0, 1, b'x'],
            &[0, 0, 0, 1, b'n', 255, 255, 255, 255],
            &[255, 255, 255, 255],
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn every_kind_of_row_is_read_back_and_nulls_are_kept_apart() {
        there_and_back(Row::Totals(Totals { keys: 1, records: 2, first_command: 3, next_command: 4 }));
        let command = ParkingCommand::release("in", [0xff]);
        there_and_back(Row::Command(Pending { done_until: vec![2, 0], command }));
        let (operator, reason) = ("in.map".to_owned(), "it is März".to_owned());
        there_and_back(Row::Head(Head { first: 1, next: 7, partition: 0, offset: 9, operator, reason }));
        for value in [None, Some(vec![]), Some(vec![7])] {
            let headers = Headers::empty();
            there_and_back(Row::Record(Record { partition: 0, offset: 0, timestamp_ms: 5, headers, value }));
        }
        assert!(RowCodec.decode(&[2, 0]).unwrap_err().to_string().contains("version 2"));
    }

    #[test]
    fn keys_are_ordered_by_key_then_number_and_taken_apart_again() {
        let key = |topic, key: &[u8], number| row_key(&prefix(topic, key), number);
        let keys = [TOTALS_KEY.to_vec(), command_key(9), key("in", b"a", 0), key("in", b"a", 2), key("in", b"a", 256)];
        assert!(keys.is_sorted());
        assert!(key("in", b"a", u64::MAX) < key("in", b"b", 0));
        assert!(key("in", b"b", u64::MAX) < key("in", b"a\x00", 0), "a longer key is behind all shorter ones");
        assert_eq!(parts(&key("in", b"a", 2)), Some(("in", &b"a"[..], 2)));
        assert_eq!(parts(&key("in", b"", 0)), Some(("in", &b""[..], 0)));
        assert_eq!(parts(TOTALS_KEY), None);
        assert_eq!(parts(&command_key(1)), None);
    }
}
