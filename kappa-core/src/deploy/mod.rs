//! Putting versions into service: has one caught up, and how far is it.

mod catch_up;

pub use catch_up::{CatchUp, InputProgress, Progress, caught_up};
