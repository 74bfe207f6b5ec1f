//! Stores whose rows expire: window stores and session stores.

mod keys;
mod managed;
mod segmented;
mod session;
mod windows;

pub use self::session::{Session, SessionOptions, SessionStore};
pub use self::windows::{WindowOptions, WindowStore};
