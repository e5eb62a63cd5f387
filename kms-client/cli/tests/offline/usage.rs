//! Wrong usage: exit code 2, said plainly, before anything is asked of anyone.

use crate::kit::Kit;

#[test]
fn wrong_words_are_wrong_usage() {
    let kit = Kit::new();
    for (line, words) in [
        ("", "Usage: kms"),
        ("encrpyt files", "'encrypt'"),
        ("encrypt", "<DATASET>"),
        ("encrypt Files", "begins with a letter"),
        ("decrypt --context tenant", "KEY=VALUE"),
        ("key rotate files --emergency", "--reason"),
        ("key destroy files 3 --wait 30", "for example 90d"),
    ] {
        let run = kit.run(line);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{line}");
        assert!(run.stderr.contains(words), "{line}: {}", run.stderr);
    }
}

#[test]
fn without_a_profile_the_way_to_one_is_told() {
    let kit = Kit::new();
    kit.write("broken.toml", b"adress = 1");
    for line in ["status", "dataset list", "encrypt files -"] {
        kit.run(line).failed(2, "--profile FILE or set KMS_PROFILE");
    }
    kit.run("status --profile nowhere.toml")
        .failed(2, "nowhere.toml");
    kit.run("status --profile broken.toml").failed(2, "adress");
}

#[test]
fn what_cannot_be_taken_back_is_confirmed_first() {
    let kit = Kit::new();
    kit.write_profile();
    let shred = "shred destroy --account acme --subject jane --class customer --reason r";
    for (line, name) in [("key destroy files 3", "files/3"), (shred, "jane")] {
        kit.run_with_profile(line)
            .failed(2, &format!("not confirmed; add --confirm '{name}'"));
        kit.run_with_profile(&format!("{line} --confirm other"))
            .failed(2, "nothing was done: 'other' is not");
        for confirmed in [format!("--confirm {name}"), "--yes --no-input".to_owned()] {
            kit.run_with_profile(&format!("{line} {confirmed}"))
                .failed(69, "cannot be reached");
        }
    }
}

#[test]
fn nobody_is_asked_when_nobody_is_there() {
    let kit = Kit::new();
    kit.write_profile();
    kit.run_with_profile("unseal")
        .failed(2, "--passphrase-file");
    kit.run_with_profile("clock confirm").failed(2, "--now");
    kit.run_with_profile("unseal --passphrase-file missing")
        .failed(1, "missing: No such file");
}

#[test]
fn a_context_is_checked_before_anything_is_read() {
    let kit = Kit::new();
    let long = "v".repeat(9_000);
    kit.run("decrypt --context a=1 --context a=2")
        .failed(2, "twice");
    kit.run(&format!("decrypt --context a={long}"))
        .failed(2, "8 KiB");
}
