//! What auditors know of a log before and after a month of it was anonymised.

use kms_proto::v1::shred_secret_selector::By;
use kms_proto::v1::{
    AuditEntry, EntryCount, GetLogFilesRequest, LogFileRequest, ShredSecretSelector,
    SummarizeEntriesRequest, SummarizeEntriesResponse,
};
use kms_server::serve::Running;
use kms_tests::caller::{Caller, subject};
use kms_tests::daemon::{Installation, Role};
use kms_tests::in_process::InProcess;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// See the module.
pub(super) struct Evidence {
    pub(super) entries: Vec<AuditEntry>,
    /// Calls on `files` by the service, and what they touched.
    exposure: (Vec<EntryCount>, Vec<String>),
    pub(super) of_jane: SummarizeEntriesResponse,
}

impl Evidence {
    pub(super) async fn gather(process: &InProcess, running: &Running) -> Self {
        let auditor = process.caller(running, Role::Auditor).await;
        let of_files = SummarizeEntriesRequest {
            dataset: "datasets/files".to_owned(),
            action: "GenerateDataKey".to_owned(),
            touched: true,
            ..Default::default()
        };
        let jane = subject("acme", "jane", "customer").scope;
        let of_jane = SummarizeEntriesRequest {
            shred_secret: Some(ShredSecretSelector {
                by: jane.map(By::Scope),
            }),
            action: "GenerateDataKey".to_owned(),
            ..Default::default()
        };
        let exposure = summary(&auditor, of_files).await;
        Self {
            exposure: (exposure.rows, exposure.lasting_context),
            of_jane: summary(&auditor, of_jane).await,
            entries: auditor.entries(0).await.unwrap(),
        }
    }

    /// Everything but personal values is in `later` as it is here.
    pub(super) fn stays_in(&self, later: &Self) {
        assert_eq!(self.exposure, later.exposure);
        let (rows, tenants) = &self.exposure;
        assert!(rows.iter().any(|row| row.principal.contains("service")));
        assert_eq!(tenants, &["tenant=acme"]);
        for (was, is) in self.entries.iter().zip(&later.entries) {
            let mut was = was.clone();
            // while sealed there is no directory: who called stands in the personal group alone
            if was.personal.contains_key("principal") {
                was.principal.clear();
            }
            was.personal.clear();
            was.personal_state.clone_from(&is.personal_state);
            assert_eq!(&was, is);
        }
    }
}

async fn summary(auditor: &Caller, request: SummarizeEntriesRequest) -> SummarizeEntriesResponse {
    let answer = auditor.audit().summarize_entries(request).await.unwrap();
    answer.into_inner()
}

fn key(installation: &Installation) -> String {
    installation.dir().join("audit.pub").display().to_string()
}

/// Everything that has a checkpoint, by a real daemon and the command line.
pub(super) fn export(installation: &Installation) -> PathBuf {
    let daemon = installation.start();
    let folder = installation.scratch().join("exported");
    let (key, to) = (key(installation), folder.to_str().unwrap());
    let args = [
        "audit", "export", "--format", "jsonl", "--key", &key, "-o", to,
    ];
    installation.kms(Role::Auditor).run(&args).ok();
    assert!(daemon.terminate().success());
    folder
}

pub(super) fn verify_export(installation: &Installation, folder: &Path) {
    let (key, folder) = (key(installation), folder.to_str().unwrap());
    let args = ["audit", "verify", "--export", folder, "--key", &key];
    installation.kms(Role::Auditor).run(&args).ok();
}

/// The entries' bytes in an export.
pub(super) fn leaves_of(folder: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(folder.join("entries.jsonl")).unwrap();
    let leaf = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let hex = line["leaf"].as_str().unwrap();
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
    };
    text.lines().map(leaf).collect()
}

/// A copy of the log's tree, file by file from the service.
pub(super) async fn fetch(process: &InProcess, running: &Running) -> PathBuf {
    let auditor = process.caller(running, Role::Auditor).await;
    let (from, to) = (
        super::audit(&process.installation),
        process.installation.scratch().join("fetched"),
    );
    // first: what it speaks of is there
    let mut paths = vec!["checkpoint".to_owned()];
    for folder in ["tile", "checkpoints", "log-keys"] {
        list(&from, folder, &mut paths);
    }
    for path in paths {
        let file = LogFileRequest {
            path: path.clone(),
            offset: 0,
        };
        let request = GetLogFilesRequest { files: vec![file] };
        let answer = auditor.audit().get_log_files(request).await.unwrap();
        let file = answer.into_inner().files.remove(0);
        // a partial file may have become full meanwhile
        if file.found {
            assert_eq!(file.contents.len() as u64, file.size, "{path}");
            let path = to.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &file.contents).unwrap();
        }
    }
    to
}

fn list(root: &Path, folder: &str, paths: &mut Vec<String>) {
    for found in std::fs::read_dir(root.join(folder)).unwrap() {
        let found = found.unwrap();
        let path = format!("{folder}/{}", found.file_name().to_str().unwrap());
        if found.file_type().unwrap().is_dir() {
            list(root, &path, paths);
        } else {
            paths.push(path);
        }
    }
}
