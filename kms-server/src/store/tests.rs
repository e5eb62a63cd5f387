//! What holds for every engine, and the scene that the other tests play in.

mod conformance;
pub(super) mod scene;
