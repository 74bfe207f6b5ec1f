//! Reads a view by its name and follows the view map: whoever holds a [`ViewReader`] never needs to know which
//! version of the application is live.

mod error;
mod handle;
mod reader;
mod table;

pub use error::ViewError;
pub use handle::{ViewHandle, ViewSnapshot};
pub use reader::{ViewEvent, ViewEvents, ViewReader, ViewSettings};
