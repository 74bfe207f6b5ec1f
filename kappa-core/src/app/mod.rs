//! Applications: a name, a version and a topology.

mod application;
mod name;

pub use application::App;
pub use name::{APP_NAME_LENGTH_MAX, AppName, ApplicationId, NameError, TOPIC_NAME_LENGTH_MAX, Version, check_name};
