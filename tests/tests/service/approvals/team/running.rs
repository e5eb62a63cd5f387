//! The daemon that a team works with: seen from inside, and started again.

use super::Team;
use kms_server::serve::Running;
use kms_tests::caller::Caller;
use kms_tests::daemon::Role;
use std::fs;

impl Team {
    pub(crate) async fn operator(&self) -> Caller {
        self.process.caller(&self.running, Role::Operator).await
    }

    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// Stops it, adds to its configuration, and starts it again.
    pub(crate) async fn restart(self, configuration: &str) -> Self {
        let Self { process, running } = self;
        running.stop().await;
        let path = process.installation.dir().join("kms.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + configuration).unwrap();
        let running = process.serve().await;
        let team = Self { process, running };
        team.at(Role::Operator);
        team.at(Role::Approver);
        team
    }
}
