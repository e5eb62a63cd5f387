//! The daemon's jobs in a whole daemon whose clock the test moves: nothing sleeps, each test waits for the
//! jobs' next pass. `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

#[cfg(test)]
mod scene;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod timer;
#[cfg(test)]
mod upkeep;
