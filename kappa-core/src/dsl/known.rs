//! What a handle knows about a codec.

use crate::codec::SharedCodec;
use crate::topology::{NodeId, SharedGraph, TopologyError};

/// A codec, or the operator since which there is none.
#[derive(Debug)]
pub(crate) enum Known<T> {
    /// This one.
    Codec(SharedCodec<T>),
    /// New keys or values were made here, and nobody has said how they are written.
    Since(NodeId),
}

impl<T: 'static> Known<T> {
    /// The codec, or an error at `build()` that names `operator` and the mend.
    pub(crate) fn need(
        &self,
        graph: &SharedGraph,
        operator: &str,
        part: &'static str,
        mend: &'static str,
    ) -> SharedCodec<T> {
        match self {
            Self::Codec(codec) => codec.clone(),
            Self::Since(node) => {
                let mut graph = graph.borrow_mut();
                let since = graph.nodes[*node].name.clone();
                let operator = operator.to_owned();
                graph.errors.push(TopologyError::MissingCodec { operator, part, since, mend });
                SharedCodec::missing()
            }
        }
    }
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Codec(codec) => Self::Codec(codec.clone()),
            Self::Since(node) => Self::Since(*node),
        }
    }
}
