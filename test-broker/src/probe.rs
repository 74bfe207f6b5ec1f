//! Asks a broker what it is, in a few hand-made bytes: ApiVersions (version 0), then Metadata (version 4) for no topic.
//! An open port is not a broker that works: only the metadata says that the nodes know each other.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const METADATA_VERSION: i16 = 4;
/// Larger than any answer to the two questions asked here.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// A node as the cluster's metadata names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its id.
    pub id: i32,
    /// Where clients reach it.
    pub address: String,
}

/// The nodes that the broker at `address` knows to be alive. Every step has `timeout` to finish.
pub fn metadata(address: &str, timeout: Duration) -> io::Result<Vec<NodeAddress>> {
    let mut stream = TcpStream::connect_timeout(&resolve(address)?, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    check_versions(&ask(&mut stream, API_VERSIONS, 0, &[])?)?;
    // An empty array of topics, then "do not create topics".
    nodes(&ask(&mut stream, METADATA, METADATA_VERSION, &[0, 0, 0, 0, 0])?)
}

fn resolve(address: &str) -> io::Result<SocketAddr> {
    address.to_socket_addrs()?.next().ok_or_else(|| bad("the address names no host"))
}

fn ask(stream: &mut TcpStream, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(&request(api, version, body))?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).map_err(|_| bad("a negative size"))?;
    if size > RESPONSE_BYTES_MAX {
        return Err(bad("the answer is too large to come from a Kafka broker"));
    }
    let mut response = vec![0; size];
    stream.read_exact(&mut response)?;
    Ok(response)
}

fn request(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let client = b"kappa-probe";
    let mut message = Vec::new();
    message.extend(api.to_be_bytes());
    message.extend(version.to_be_bytes());
    message.extend(1_i32.to_be_bytes());
    message.extend((client.len() as i16).to_be_bytes());
    message.extend(client);
    message.extend(body);
    let mut framed = (message.len() as i32).to_be_bytes().to_vec();
    framed.append(&mut message);
    framed
}

fn check_versions(response: &[u8]) -> io::Result<()> {
    let mut reader = Reader { rest: response };
    let (_correlation, error) = (reader.i32()?, reader.i16()?);
    if error != 0 {
        return Err(bad("the broker refused ApiVersions"));
    }
    for _ in 0..reader.i32()? {
        let (api, min, max) = (reader.i16()?, reader.i16()?, reader.i16()?);
        if api == METADATA && (min..=max).contains(&METADATA_VERSION) {
            return Ok(());
        }
    }
    Err(bad("the broker does not speak Metadata version 4"))
}

fn nodes(response: &[u8]) -> io::Result<Vec<NodeAddress>> {
    let mut reader = Reader { rest: response };
    let (_correlation, _throttle_ms) = (reader.i32()?, reader.i32()?);
    let mut nodes = Vec::new();
    for _ in 0..reader.i32()? {
        let (id, host, port) = (reader.i32()?, reader.string()?, reader.i32()?);
        let _rack = reader.string()?;
        nodes.push(NodeAddress { id, address: format!("{host}:{port}") });
    }
    nodes.sort_by_key(|node| node.id);
    Ok(nodes)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads big-endian fields off the front of a response.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| bad("the answer is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.take(2).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.take(4).map(|bytes| i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A nullable string; null reads as the empty one.
    fn string(&mut self) -> io::Result<String> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Correlation 1, throttle 0, nodes 2 and 1 on "a":9092 and "b":9093 (the second with rack "r"), by the protocol's page.
    const TWO_NODES: &[u8] =
        b"\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x02\0\x01a\0\0\x23\x84\xff\xff\0\0\0\x01\0\x01b\0\0\x23\x85\0\x01r";

    #[test]
    fn metadata_lists_the_nodes_by_id() {
        let expected = vec![
            NodeAddress { id: 1, address: "b:9093".to_owned() },
            NodeAddress { id: 2, address: "a:9092".to_owned() },
        ];
        assert_eq!(nodes(TWO_NODES).expect("well formed"), expected);
    }

    #[test]
    fn an_answer_cut_short_is_an_error() {
        for length in 0..TWO_NODES.len() {
            assert!(nodes(&TWO_NODES[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_request_is_framed() {
        let framed = request(METADATA, 4, &[9]);
        assert_eq!(framed, b"\0\0\0\x16\0\x03\0\x04\0\0\0\x01\0\x0bkappa-probe\x09");
    }

    #[test]
    fn a_broker_without_the_version_is_refused() {
        assert!(check_versions(b"\0\0\0\x01\0\0\0\0\0\x01\0\x03\0\0\0\x0d").is_ok());
        assert!(check_versions(b"\0\0\0\x01\0\0\0\0\0\x01\0\x03\0\x05\0\x0d").is_err());
        assert!(check_versions(b"\0\0\0\x01\0\x23").is_err());
    }
}
