//! Background jobs under the daemon's own principal.

use crate::call::{Lane, Service};

/// Runs all jobs, for ever.
pub async fn run(_service: &Service, _lane: &Lane) {
    std::future::pending().await
}
