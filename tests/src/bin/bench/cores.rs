//! Which cores the servers and the client run on. A thread hands its cores on to the processes that it starts.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores of servers and client.
#[derive(Debug)]
pub(crate) struct Halves {
    pub(crate) server: Vec<usize>,
    pub(crate) client: Vec<usize>,
}

/// The cores that this process may use, in two halves; none with a single core.
pub(crate) fn halves() -> Option<Halves> {
    let mine = sched_getaffinity(None).ok()?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|&core| mine.is_set(core))
        .collect();
    let (server, client) = cores.split_at(cores.len() / 2);
    (!server.is_empty()).then(|| Halves {
        server: server.to_vec(),
        client: client.to_vec(),
    })
}

/// Binds this thread, and what it starts from now on.
pub(crate) fn bind(cores: &[usize]) {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    sched_setaffinity(None, &set).expect("cores of this process");
}
