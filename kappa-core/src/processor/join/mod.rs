//! Joins of two streams: each side is kept for a time, and looked into by the other.

mod kept;
mod outer;
mod own;
mod side;

pub(crate) use kept::Kept;
pub(crate) use outer::OuterSide;
pub(crate) use own::SelfJoin;
pub(crate) use side::JoinSide;
