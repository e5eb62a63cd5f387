//! What the crate promises, through its public interface only.

mod vectors;
