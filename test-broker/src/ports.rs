//! Free ports for brokers.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range the kernel takes outgoing ports from. A client that keeps dialling a dead broker's port *inside* that range
/// is one day given that very port as its own end, connects to itself, and the broker can never bind it again.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that nobody listens on. It is not reserved: another process may still take it.
pub fn free() -> Option<u16> {
    let span = RANGE.end - RANGE.start;
    // Processes start at different places, so that two test runs seldom try the same port.
    let start = (std::process::id() % u32::from(span)) as u16;
    (0..span).find_map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % span;
        let port = RANGE.start + (start.wrapping_mul(31).wrapping_add(step)) % span;
        is_free(port).then_some(port)
    })
}

/// Whether a listener can be bound to this port of 127.0.0.1 now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
