//! What runs: chains of operators fused by type, the stores behind them, and processors of the user's own.

mod calls;
mod chain;
mod context;
mod hosted;
mod lookup;
mod materialized;
mod punctuation;
mod slot;
mod store;
mod task;
mod times;
mod transform;
mod user;
mod value_processor;

pub(crate) use calls::{CallOrder, CallSet, CallSettings, Calls, DrainCalls, Results, Started};
pub(crate) use chain::{Discard, ErasedChain, Fan, Joint, Next, Receiver};
pub(crate) use context::{Cx, Dropped, TaskState, unencodable};
pub(crate) use hosted::{Host, Hosted, ToHosted};
pub(crate) use lookup::{Found, Getter, Lookup, decoded, get_from};
pub(crate) use materialized::{Flush, LogOnly, Materialized};
pub use punctuation::{PunctuationType, Schedule};
pub(crate) use slot::Slot;
pub use store::{ConnectedStore, ProcessorStore, StoreHandle};
pub(crate) use task::{FusedTask, SourceEntry};
pub(crate) use times::{OperatorTimes, TimeSlot};
pub use transform::{TransformContext, ValueTransformer};
pub use user::{Child, Processor, ProcessorContext, ProcessorSupplier, RecordMetadata};
pub(crate) use user::{Children, Links};
pub(crate) use value_processor::FixedKey;
pub use value_processor::{ValueContext, ValueProcessor};
