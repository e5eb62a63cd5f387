//! Manual and completions, made from the same definitions as the help.

use crate::kit::Kit;

#[test]
fn every_command_has_a_page() {
    let kit = Kit::new();
    assert_eq!(kit.run("man --dir pages").code, 0);
    let pages = std::fs::read_dir(kit.path("pages")).unwrap();
    let pages: Vec<_> = pages
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    for page in [
        "kms.1",
        "kms-encrypt.1",
        "kms-key-rotate.1",
        "kms-shred-destroy.1",
    ] {
        assert!(pages.iter().any(|name| name == page), "{page} in {pages:?}");
    }
    let page = kit.run("man").stdout;
    assert!(page.contains(".TH kms 1"), "{page}");
    assert!(page.contains("Exit codes"), "{page}");
}

#[test]
fn every_shell_completes() {
    let kit = Kit::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = kit.run(&format!("completions {shell}"));
        assert_eq!(run.code, 0);
        assert!(run.stdout.contains("rewrap"), "{shell}");
    }
}

#[test]
fn every_help_page_names_its_usage() {
    let kit = Kit::new();
    for command in [
        "",
        "encrypt",
        "decrypt",
        "inspect",
        "rewrap",
        "data-key generate",
        "data-key unwrap",
        "dataset create",
        "dataset list",
        "dataset show",
        "dataset update",
        "key rotate",
        "key versions",
        "key usage",
        "key disable",
        "key enable",
        "key destroy",
        "key restore",
        "shred create",
        "shred show",
        "shred block",
        "shred unblock",
        "shred destroy",
        "audit list",
        "status",
        "seal",
        "unseal",
        "clock confirm",
        "completions",
        "man",
    ] {
        let run = kit.run(&format!("{command} --help"));
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{command}");
        let usage = format!("Usage: kms {command}");
        assert!(run.stdout.contains(usage.trim_end()), "{command}");
    }
}
