//! The people of a development installation: an operator, a second one for approvals, an auditor. Their
//! passwords and authenticators lie beside the data, in files: whoever has the folder is all of them.

use crate::system::failure::{Failure, FailureKind};
use crate::system::private_file;
use kms_core::cipher::HashKey;
use kms_core::cipher::password::{Cost, SALT_LEN, derive_key};
use kms_core::cipher::totp;
use kms_core::engine::index::operator_key;
use kms_core::engine::operator::enrolment::first_operator;
use kms_core::entropy::{Entropy, make_bytes};
use kms_core::key::record::{Expect, Record, RecordKey, RosterRecord, StoredPassword, Write};
use kms_core::name::OperatorName;
use kms_core::policy::{ApprovalRules, Role, Roles};
use kms_core::secret::{PasswordHash, TotpSecret};
use kms_core::time::Timestamp;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// Profile (and file name), operator, roles.
pub(super) const PEOPLE: [(&str, &str, &[Role]); 3] = [
    ("operator", "alice", &[Role::SecurityAdmin, Role::KeyAdmin]),
    ("approver", "bob", &[Role::SecurityAdmin, Role::Approver]),
    ("auditor", "ada", &[Role::Auditor]),
];

/// Short enough to try things out; said loudly at every start and in the status.
const SMALL_TEAM_DELAY: Duration = Duration::from_secs(1);
/// Random bytes of a password.
const PASSWORD_LEN: usize = 20;

/// The records of all of them; their files are written first, mode 0600, and never replaced.
///
/// # Errors
/// [`Failure`].
pub(super) fn make(
    place: &Path,
    index: &HashKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Vec<Write>, Failure> {
    let mut people = Vec::new();
    for (file, name, roles) in PEOPLE {
        let password = place.join(format!("{file}.password"));
        let drawn: [u8; PASSWORD_LEN] = make_bytes(entropy).map_err(|error| other(&error))?;
        let text = data_encoding::BASE32_NOPAD.encode(&drawn).to_lowercase();
        let password = kept(&password, Zeroizing::new(text))?;
        let secret = TotpSecret::make_random(entropy).map_err(|error| other(&error))?;
        let shared = place.join(format!("{file}.totp"));
        let shared = kept(&shared, totp::expose_text(&secret))?;
        let secret = data_encoding::BASE32_NOPAD.decode(shared.as_bytes());
        let secret = secret.ok().and_then(|bytes| TotpSecret::from_slice(&bytes));
        let secret =
            secret.ok_or_else(|| other(&format!("{file}.totp is not base32 of 20 bytes")))?;
        let name = OperatorName::parse(name).map_err(|error| other(&error))?;
        let salt: [u8; SALT_LEN] = make_bytes(entropy).map_err(|error| other(&error))?;
        people.push((name, Roles::of(roles), password, salt, secret));
    }
    // each hash takes a good part of a second: all at once
    let hashes = std::thread::scope(|scope| {
        let start = |(_, _, password, salt, _): &(_, _, Zeroizing<String>, [u8; SALT_LEN], _)| {
            let (password, salt) = (password.clone(), *salt);
            scope.spawn(move || derive_key(password.as_bytes(), &salt, Cost::OPERATOR))
        };
        let started: Vec<_> = people.iter().map(start).collect();
        let ended = started.into_iter().map(|thread| thread.join().ok()?.ok());
        ended.collect::<Option<Vec<_>>>()
    });
    let hashes = hashes.ok_or_else(|| other(&"the operators' passwords cannot be hashed"))?;
    let record = |((name, roles, _, salt, secret), hash): ((_, Roles, _, _, _), _)| {
        let hash: kms_core::secret::DerivedKey = hash;
        let password = StoredPassword {
            salt,
            cost: Cost::OPERATOR,
            hash: PasswordHash::take_bytes(&mut hash.expose_bytes().clone()),
        };
        Write {
            key: operator_key(index, &name),
            expect: Expect::Absent,
            record: Some(Record::Operator(first_operator(
                name,
                roles.bits(),
                password,
                secret,
                now,
            ))),
        }
    };
    let mut writes: Vec<Write> = people.into_iter().zip(hashes).map(record).collect();
    writes.push(roster(now));
    Ok(writes)
}

/// Two people, declared a small team from the first day.
fn roster(now: Timestamp) -> Write {
    Write {
        key: RecordKey::roster(),
        expect: Expect::Absent,
        record: Some(Record::Roster(RosterRecord {
            rules: rules(),
            declared_at: now,
        })),
    }
}

/// As `kms.toml` says them.
pub(super) fn rules() -> ApprovalRules {
    ApprovalRules {
        delay: Some(SMALL_TEAM_DELAY),
        ..ApprovalRules::default()
    }
}

/// What the file says; `new` when there was none.
fn kept(path: &Path, new: Zeroizing<String>) -> Result<Zeroizing<String>, Failure> {
    if !path.exists() {
        let text = Zeroizing::new(format!("{}\n", &*new));
        private_file::replace(path, text.as_bytes()).map_err(|error| Failure::io(path, &error))?;
        return Ok(new);
    }
    let bytes = private_file::read_secret(path)?;
    let text = str::from_utf8(&bytes).map_err(|error| other(&error))?;
    Ok(Zeroizing::new(text.trim_end().to_owned()))
}

fn other(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Other, error.to_string())
}
