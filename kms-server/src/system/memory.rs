//! Keeps memory out of swap, core dumps and other processes' reach. What the machine does not allow is
//! said and skipped: a daemon without swap protection beats none, and the operator reads the warning.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{CapabilitySet, capabilities, disable_transparent_huge_pages};

/// Memory that must be lockable before all of it is: a lower limit would make allocations fail later.
const LOCKABLE_MIN: u64 = 64 << 30;

/// Applies everything that is possible; answers what was not, a sentence each.
#[must_use]
pub fn harden() -> Vec<String> {
    let mut warnings = Vec::new();
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        warnings.push(format!("core dumps could not be switched off: {error}"));
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warnings.push(format!("the process could not be made undumpable: {error}"));
    }
    // Locked memory is never given back, so a page of 2 MiB for the sake of one block stays for good.
    if let Err(error) = disable_transparent_huge_pages(true) {
        warnings.push(format!("huge pages could not be switched off: {error}"));
    }
    warnings.extend(lock_memory());
    warnings
}

fn lock_memory() -> Option<String> {
    let privileged =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let limit = getrlimit(Resource::Memlock);
    if !privileged && limit.maximum != limit.current {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // Raising the soft limit to the hard one is always allowed; the check below sees the result.
        let _ = setrlimit(Resource::Memlock, raised);
    }
    let current = getrlimit(Resource::Memlock).current;
    if !privileged && current.is_some_and(|limit| limit < LOCKABLE_MIN) {
        let kib = current.unwrap_or(0) / 1024;
        return Some(format!(
            "memory is not locked and may be swapped out: RLIMIT_MEMLOCK is {kib} KiB, set it to \
             unlimited (systemd: LimitMEMLOCK=infinity)"
        ));
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(flags)
        .err()
        .map(|error| format!("memory is not locked and may be swapped out: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::dumpable_behavior;

    #[test]
    fn afterwards_nothing_is_dumped_and_memory_is_locked_or_a_warning_tells() {
        let warnings = harden();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status
            .lines()
            .find_map(|line| line.strip_prefix("VmLck:"))
            .is_some_and(|rest| rest.trim() != "0 kB");
        let told = warnings
            .iter()
            .any(|text| text.contains("memory is not locked"));
        assert_eq!(locked, !told, "{warnings:?}");
    }
}
