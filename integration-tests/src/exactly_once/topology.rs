//! What the application under test computes.

use kappa_core::codec::{Codec, CodecError, Postcard, postcard, u32_be, u64_be};
use kappa_core::topology::{Topology, TopologyError};
use serde::{Deserialize, Serialize};

/// The store with the totals.
pub const STORE: &str = "totals";

/// The value of an input record; its key is the record's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Whose it is.
    pub account: u32,
    /// How much.
    pub amount: i64,
}

/// The value of an output record; its key is the account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Payments.
    pub count: u64,
    /// Their sum.
    pub sum: i64,
}

impl Total {
    /// The total with one more payment in it.
    #[must_use]
    pub fn plus(self, amount: i64) -> Self {
        Self { count: self.count + 1, sum: self.sum + amount }
    }
}

/// Count and sum per account: read by number, regrouped by account.
pub fn topology(input: &str, output: &str) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    app.stream(input, u64_be(), postcard::<Payment>())
        .select_key(u32_be(), |_, payment| payment.account)
        .group_by_key()
        .aggregate(STORE, postcard(), Total::default, |_, payment, total: Total| total.plus(payment.amount))
        .to(output);
    app.build()
}

/// The bytes of an input record's value.
pub(crate) fn encode(payment: Payment, out: &mut Vec<u8>) -> Result<(), CodecError> {
    postcard().encode(&payment, out)
}

/// An output record's account and total.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<(u32, Total), CodecError> {
    let totals: Postcard<Total> = postcard();
    Ok((u32_be().decode(key)?, totals.decode(value)?))
}
