//! A store of any kind and value type, as a task keeps it.

use kappa_state::ManagedStore;
use std::any::Any;

/// A store without its type.
pub(crate) trait Slot: Send {
    /// As the runtime sees it.
    fn managed(&mut self) -> &mut dyn ManagedStore;

    /// As the runtime reads it.
    fn managed_ref(&self) -> &dyn ManagedStore;

    /// For the operator that knows the type.
    fn any(&mut self) -> &mut dyn Any;
}

impl<S: ManagedStore + 'static> Slot for S {
    fn managed(&mut self) -> &mut dyn ManagedStore {
        self
    }

    fn managed_ref(&self) -> &dyn ManagedStore {
        self
    }

    fn any(&mut self) -> &mut dyn Any {
        self
    }
}
