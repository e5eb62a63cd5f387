//! The unsealed service: state, publisher, months' keys, unsealing and sealing. Exists only while unsealed;
//! dropping it forgets every key.

pub mod generation;
pub mod shred_cache;
pub mod state;
