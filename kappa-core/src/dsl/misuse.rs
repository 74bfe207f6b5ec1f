//! What the compiler says where operators don't fit: bounds that hold wherever they do, with words for where they don't.

use super::{KStream, KTable};
use crate::codec::Codec;

/// Keys of the same type: what both sides of a join have.
#[diagnostic::on_unimplemented(
    message = "the two sides of a join need keys of one type; here they are `{K}` and `{Self}`",
    label = "its keys are `{Self}`, those of the other side `{K}`",
    note = "give one side the keys of the other before the join: `.select_key(<codec>, |key, value| ..)` on a stream, `.group_by(..)` \
            on a table; a table can also be joined by a key found in the value, with `join_foreign_key(..)`, or as a global one, with \
            `join_global(..)`"
)]
pub trait SameKeyAs<K>: Sized + sealed::Sealed<K> {
    /// The stream, as one with the other side's keys.
    #[doc(hidden)]
    fn stream<V>(stream: &KStream<Self, V>) -> &KStream<K, V>;

    /// The table, as one with the other side's keys.
    #[doc(hidden)]
    fn table<V>(table: &KTable<Self, V>) -> &KTable<K, V>;
}

mod sealed {
    pub trait Sealed<K> {}
    impl<K> Sealed<K> for K {}
}

impl<K> SameKeyAs<K> for K {
    fn stream<V>(stream: &KStream<K, V>) -> &KStream<K, V> {
        stream
    }

    fn table<V>(table: &KTable<K, V>) -> &KTable<K, V> {
        table
    }
}

/// A grouped stream: aggregates are over groups. No stream is one by itself.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "records are aggregated by key: this stream is not grouped",
    label = "not grouped",
    note = "group it first: `.group_by_key()`, or `.group_by(<codec>, |key, value| ..)` by another key"
)]
pub trait Grouped {
    /// There is none.
    fn never<T>(&self) -> T;
}

/// Aggregates as one may look for them on a stream, so that the compiler can say where they are.
#[doc(hidden)]
impl<K: 'static, V: 'static> KStream<K, V> {
    pub fn count(&self, _name: &str) -> KTable<K, i64>
    where
        Self: Grouped,
    {
        self.never()
    }

    pub fn reduce(&self, _name: &str, _reducer: impl Fn(V, &V) -> V) -> KTable<K, V>
    where
        Self: Grouped,
    {
        self.never()
    }

    pub fn aggregate<A, R>(
        &self,
        _name: &str,
        _codec: impl Codec<A>,
        _initializer: impl Fn() -> A,
        _aggregator: impl Fn(&K, &V, A) -> R,
    ) -> KTable<K, A>
    where
        Self: Grouped,
    {
        self.never()
    }
}
