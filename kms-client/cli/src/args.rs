//! What can be typed: the commands, and the values that several of them take. Checks forms only;
//! whether a thing exists is the service's to say.

pub(crate) mod owner;
pub(crate) mod value;

use crate::command::{
    approval, audit, clock, completions, config, data_key, dataset, decrypt, encrypt, inspect, key,
    login, man, mfa, operator, password, policy, rewrap, seal, service, shred, status, unseal,
    witness,
};
use crate::exit::Failure;
use clap::{Args, Parser, Subcommand, ValueEnum};
use kms_client::KeyContext;
use std::collections::BTreeSet;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  kms encrypt files report.pdf -o report.pdf.kms --context tenant=acme
  kms decrypt report.pdf.kms -o report.pdf --context tenant=acme
  kms key rotate files
  kms shred destroy --subject jane@example.com --class customer --reason 'request 17'

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found or not allowed,
4 the state does not allow it, 5 log in, or give a code, 69 service not available.";

/// Encrypts files with data keys of the key management service, and administers it.
#[derive(Debug, Parser)]
#[command(
    name = "kms",
    version,
    after_help = AFTER_HELP,
    arg_required_else_help = true,
)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Profile (TOML) that says where the service is and who we are [default: $KMS_PROFILE].
    #[arg(long, global = true, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Form of the results on stdout.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value = "table"
    )]
    pub output: Form,
    /// Never ask, fail instead.
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Code of your authenticator, for what asks for one; given ahead it is used once.
    #[arg(long, global = true, value_name = "CODE")]
    pub totp: Option<String>,
    /// Approval that others gave for this very command; see `kms approval`.
    #[arg(long, global = true, value_name = "ID")]
    pub approval: Option<String>,
    /// Have the service ask and decide all of it, and do nothing; for commands that change something.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Say nothing on stderr but errors and warnings.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The commands, one for each noun or file operation.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Encrypt(encrypt::Encrypt),
    Decrypt(decrypt::Decrypt),
    Inspect(inspect::Inspect),
    Rewrap(rewrap::Rewrap),
    #[command(subcommand)]
    DataKey(data_key::DataKey),
    #[command(subcommand)]
    Dataset(dataset::Dataset),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Shred(shred::Shred),
    #[command(subcommand)]
    Audit(audit::Audit),
    Login(login::Login),
    Logout(login::Logout),
    #[command(name = "whoami")]
    WhoAmI(login::WhoAmI),
    #[command(subcommand)]
    Mfa(mfa::Mfa),
    #[command(subcommand)]
    Password(password::Password),
    #[command(subcommand)]
    Operator(operator::Operator),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    Approval(approval::Approval),
    #[command(subcommand)]
    Service(service::Service),
    Status(status::Status),
    Seal(seal::Seal),
    Unseal(unseal::Unseal),
    #[command(subcommand)]
    Clock(clock::Clock),
    #[command(subcommand)]
    Witness(witness::WitnessCommand),
    Completions(completions::Completions),
    Man(man::Man),
}

/// The key context of a data key.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Context {
    /// Pair of the key context: authenticated, logged, and needed again to decrypt, all of it
    /// exactly. It is not stored in the file.
    #[arg(long = "context", value_name = "K=V", value_parser = value::pair)]
    pairs: Vec<(String, String)>,
}

impl Context {
    /// What was given.
    ///
    /// # Errors
    /// Usage: a key stands twice, or the limits of a key context are broken.
    pub(crate) fn key_context(&self) -> Result<KeyContext, Failure> {
        let keys: BTreeSet<_> = self.pairs.iter().map(|(key, _)| key).collect();
        if keys.len() < self.pairs.len() {
            return Err(Failure::usage("--context names a key twice"));
        }
        Ok(KeyContext::new(self.pairs.iter().cloned())?)
    }
}

/// Confirmation given ahead, for what cannot be taken back.
#[derive(Debug, Clone, Args)]
pub(crate) struct Confirmation {
    /// The name that would be asked for, typed ahead.
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Do not ask for the name; only together with --no-input.
    #[arg(long, requires = "no_input", conflicts_with = "confirm")]
    pub yes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a list")]
    fn the_published_forms_are_taken() {
        for line in [
            "kms encrypt customers",
            "kms encrypt customers in.csv -o out --context a=b --context c= --account acme --subject jane",
            "kms encrypt datasets/customers - -o -",
            "kms decrypt",
            "kms decrypt in -o out --context tenant=acme",
            "kms key rotate customers",
            "kms key rotate customers --emergency --reason leaked",
            "kms key versions customers --output json",
            "kms dataset create crm-files",
            "kms dataset create calls --rotation-period 30d --required-secret subject --required-secret period",
            "kms dataset create calls --retention-class c --lasting-key tenant --deletion-protection off",
            "kms dataset list --output json",
            "kms --output json dataset list",
            "kms dataset update calls --deletion-protection on",
            "kms key destroy customers 3 --wait 7d --confirm customers/3",
            "kms key destroy customers 3 --yes --no-input",
            "kms key usage customers 3",
            "kms shred destroy --account acme --subject jane --class customer --reason r --yes --no-input",
            "kms shred show --id 000102030405060708090a0b0c0d0e0f",
            "kms shred create --period 2026-11 --class communication",
            "kms rewrap a b c --context tenant=acme --keep-data-key-reason drill",
            "kms rewrap a --reencrypt",
            "kms data-key generate customers --subject jane",
            "kms data-key unwrap kms1:AAAA --plaintext",
            "kms audit list --dataset customers --from 2026-11-01 --newest-first --limit 5",
            "kms audit verify --offline kms-dev/data/audit --key kms-dev/audit.pub --checkpoint a --checkpoint b",
            "kms audit witness --offline kms-dev/data/audit --key kms-dev/audit.pub --state w",
            "kms witness key --state w --name witness.example/1",
            "kms witness serve --state w --log audit.pub --listen 127.0.0.1:0",
            "kms audit verify --key audit.pub --from kept",
            "kms audit verify --proof entry.json --key audit.pub",
            "kms audit list --tail --principal spiffe://crm.example/service/web",
            "kms audit list --dataset customers --version 3",
            "kms audit show 17",
            "kms audit report --from 90d --key k -o report.html",
            "kms audit report --from 2026-10-01 --to 2026-11-01 --key k --output json",
            "kms audit export --format ocsf --from 2026-10-01 --to 2026-11-01 --key k -o october",
            "kms audit verify --export october --key k",
            "kms audit exposure --dataset customers --version 3 --from 7d",
            "kms audit exposure --subject jane --account acme --class customer",
            "kms audit prove 17 --key audit.pub -o proof.json",
            "kms unseal --passphrase-file /run/secret",
            "kms login --user alice --password-file p --totp 123456",
            "kms logout",
            "kms whoami --output json",
            "kms mfa enroll --user bob --token abcd-efgh --password-file p",
            "kms mfa status",
            "kms password change --password-file old --new-password-file new --totp 123456",
            "kms operator add bob --role approver --role auditor",
            "kms operator list",
            "kms operator recover alice --passphrase-file p --approval 000102030405060708090a0b0c0d0e0f",
            "kms operator reset-mfa bob --totp 123456",
            "kms operator set-roles bob --role key-admin",
            "kms policy check own.cedar policies",
            "kms key destroy customers 3 --confirm customers/3 --approval 000102030405060708090a0b0c0d0e0f",
            "kms approval list --all",
            "kms approval show approvals/000102030405060708090a0b0c0d0e0f",
            "kms approval approve 000102030405060708090a0b0c0d0e0f --ssh-key id_ed25519_sk.pub --yes --no-input",
            "kms approval approve 000102030405060708090a0b0c0d0e0f --confirm 000102030405060708090a0b0c0d0e0f",
            "kms approval reject 000102030405060708090a0b0c0d0e0f --reason no",
            "kms approval cancel 000102030405060708090a0b0c0d0e0f",
            "kms approval key make --file approver.key --passphrase-file p",
            "kms approval key add --ssh-key id_ed25519.pub",
            "kms approval key remove bob SHA256:x",
            "kms approval roster",
            "kms approval declare --yes --no-input",
            "kms policy apply policies --replaces 3",
            "kms policy show --at 2h",
            "kms policy test operators/alice RotateDataset files --mfa-age 10 --source 10.0.0.1",
            "kms service add web",
            "kms service add ops-laptop --desk --again --address kms.example:7400",
            "kms service list --output json",
            "kms service revoke web --confirm web",
            "kms service enroll --token kms-enrol-1.AAAA --dir d",
            "kms service enroll --token-file - --dir d",
            "kms service renew --if-due",
            "kms clock confirm --now 2026-11-24T06:00:00Z",
            "kms completions bash",
            "kms man",
            "kms status --profile p.toml --quiet",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        for line in [
            "kms encrypt",
            "kms encrypt Customers",
            "kms encrypt customers --context tenant",
            "kms encrypt customers --context =acme",
            "kms key rotate customers --emergency",
            "kms key rotate customers --reason leaked",
            "kms key destroy customers 0",
            "kms key destroy customers 3 --yes",
            "kms key destroy customers 3 --wait soon",
            "kms dataset create calls --rotation-period 90",
            "kms dataset create calls --required-secret person",
            "kms dataset update calls",
            "kms dataset update calls --deletion-protection maybe",
            "kms shred destroy --account acme --class customer",
            "kms shred show",
            "kms shred show --subject jane",
            "kms shred show --id 0001",
            "kms shred show --id 000102030405060708090a0b0c0d0e0f --subject jane --class customer",
            "kms shred create --period 2026-13 --class communication",
            "kms rewrap",
            "kms rewrap a --reencrypt --keep-data-key-reason drill",
            "kms audit list --limit 0",
            "kms audit list --from yesterday",
            "kms witness serve --state w",
            "kms audit list --version 3",
            "kms audit list --tail --newest-first",
            "kms audit verify --offline a --proof b --key c",
            "kms audit verify --proof b --from a --key c",
            "kms audit prove 17",
            "kms audit exposure",
            "kms audit exposure --version 3",
            "kms audit exposure --subject jane",
            "kms audit export --format xml --key k -o x",
            "kms unseal hunter2",
            "kms operator add bob",
            "kms policy apply",
            "kms policy show --at 2h --generation 2",
            "kms login alice",
            "kms service enroll",
            "kms service enroll --token a --token-file b",
            "kms mfa enroll",
            "kms --output yaml status",
        ] {
            let error = parse(line).map(|_| ()).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}: {error}");
        }
    }

    #[test]
    fn a_context_has_each_key_once() {
        let context = |line: &str| match parse(line).unwrap().command {
            Command::Decrypt(decrypt) => decrypt.context.key_context(),
            _ => panic!("not a decrypt"),
        };
        let given = context("kms decrypt --context b=1=2 --context a=").unwrap();
        let pairs: Vec<_> = given
            .pairs()
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, [("a", ""), ("b", "1=2")]);
        assert!(context("kms decrypt --context a=1 --context a=1").is_err());
    }
}
