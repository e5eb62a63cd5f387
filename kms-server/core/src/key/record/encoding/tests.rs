use super::*;
use crate::key::record::PolicyText;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_micros)
}

fn number_of_version() -> impl Strategy<Value = VersionNumber> {
    (1..=u32::MAX).prop_map(|n| VersionNumber::new(n).unwrap())
}

fn key_id() -> impl Strategy<Value = KeyId> {
    any::<[u8; 16]>().prop_map(KeyId)
}

fn secret_id() -> impl Strategy<Value = SecretId> {
    any::<[u8; 16]>().prop_map(SecretId)
}

fn class() -> impl Strategy<Value = RetentionClass> {
    "[a-z][a-z0-9-]{0,31}".prop_map(|s| RetentionClass::parse(&s).unwrap())
}

fn kind() -> impl Strategy<Value = SecretKind> {
    (1_u8..=3).prop_map(|n| SecretKind::from_number(n).unwrap())
}

fn dataset() -> impl Strategy<Value = DatasetRecord> {
    let policy = (
        any::<u64>().prop_map(Duration::from_secs),
        vec(kind(), 0..3),
        vec(class(), 0..9),
        vec("[a-z]{1,64}".prop_map(Into::into), 0..9),
    );
    let policy = policy.prop_map(
        |(rotation_period, secrets, classes, lasting)| DatasetPolicy {
            rotation_period,
            required_secrets: secrets,
            retention_classes: classes,
            lasting_context_keys: lasting,
        },
    );
    let rest = (any::<bool>(), number_of_version(), timestamp(), timestamp());
    let labels = vec(("[a-z][a-z0-9-]{0,62}", "[A-Za-z0-9._-]{0,63}"), 0..17);
    let rest = (rest, labels);
    let name = "[a-z][a-z0-9-]{0,62}".prop_map(|s| DatasetName::parse(&s).unwrap());
    (key_id(), name, policy, rest).prop_map(|(key_id, name, policy, (rest, labels))| {
        DatasetRecord {
            key_id,
            name,
            policy,
            labels: Labels::new(labels.iter().map(|(k, v)| (&**k, &**v))).unwrap(),
            deletion_protection: rest.0,
            next_version: rest.1,
            created_at: rest.2,
            next_rotation_at: rest.3,
        }
    })
}

fn version_state() -> impl Strategy<Value = VersionState> {
    prop_oneof![
        Just(VersionState::PreActive),
        Just(VersionState::Active),
        Just(VersionState::DecryptOnly),
        Just(VersionState::Disabled),
        timestamp().prop_map(|at| VersionState::DestroyScheduled { at }),
        timestamp().prop_map(|at| VersionState::Destroyed { at }),
    ]
}

fn compromise() -> impl Strategy<Value = Compromise> {
    let reason = "[ -~äöü]{1,128}".prop_map(|s| ReasonText::parse(&s).unwrap());
    let principal = "[!-~]{1,512}".prop_map(|s| PrincipalName::parse(&s).unwrap());
    (reason, timestamp(), principal).prop_map(|(reason, at, principal)| Compromise {
        reason,
        at,
        principal,
    })
}

fn version_record() -> impl Strategy<Value = VersionRecord> {
    let head = (key_id(), number_of_version(), version_state());
    let tail = (option::of(compromise()), timestamp(), any::<[u8; 32]>());
    (head, tail).prop_map(|((key_id, number, state), (compromised, at, mut key))| {
        let destroyed = matches!(state, VersionState::Destroyed { .. });
        VersionRecord {
            key_id,
            number,
            state,
            compromised,
            created_at: at,
            key: (!destroyed).then(|| VersionKey::take_bytes(&mut key)),
        }
    })
}

fn scope() -> impl Strategy<Value = ShredScope> {
    let of = |kind, account: String, name: String, class| {
        ShredScope::new(kind, AccountName::parse(&account).unwrap(), &name, class).unwrap()
    };
    prop_oneof![
        ("[ -~]{0,128}", "[ -~äß]{1,128}", class()).prop_map(move |(a, n, c)| of(
            SecretKind::Subject,
            a,
            n,
            c
        )),
        ("[ -~]{1,128}", class()).prop_map(move |(a, c)| of(
            SecretKind::Account,
            a,
            String::new(),
            c
        )),
        ("[0-9]{4}-(0[1-9]|1[0-2])", class()).prop_map(move |(n, c)| of(
            SecretKind::Period,
            String::new(),
            n,
            c
        )),
    ]
}

fn shred_record() -> impl Strategy<Value = ShredRecord> {
    let state = prop_oneof![
        Just(ShredState::Active),
        timestamp().prop_map(|at| ShredState::Blocked { at }),
        timestamp().prop_map(|at| ShredState::Destroyed { at }),
    ];
    let tail = (timestamp(), option::of(secret_id()), any::<[u8; 32]>());
    (secret_id(), scope(), state, tail).prop_map(|(id, scope, state, (at, succeeds, mut s))| {
        let destroyed = matches!(state, ShredState::Destroyed { .. });
        ShredRecord {
            id,
            scope,
            state,
            created_at: at,
            succeeds,
            secret: (!destroyed).then(|| ShredSecret::take_bytes(&mut s)),
        }
    })
}

fn request_record() -> impl Strategy<Value = RequestRecord> {
    let what = (option::of(key_id()), option::of(number_of_version()));
    let marked = vec(number_of_version(), 0..20);
    (any::<[u8; 32]>(), timestamp(), what, marked).prop_map(|(fingerprint, at, what, marked)| {
        RequestRecord {
            fingerprint,
            at,
            key_id: what.0,
            version: what.1,
            marked,
        }
    })
}

fn outbox_record() -> impl Strategy<Value = OutboxRecord> {
    let leaves = vec(vec(any::<u8>(), 0..300), 0..20);
    (any::<u64>(), any::<u16>(), leaves).prop_map(|(change, part, leaves)| OutboxRecord {
        change,
        part,
        leaves,
    })
}

fn policies() -> impl Strategy<Value = PolicyGeneration> {
    let texts = vec((".{0,40}", ".{0,400}"), 0..9);
    (any::<u64>(), "[a-z]{1,64}", timestamp(), texts).prop_map(|(number, by, at, texts)| {
        let text = |(name, text): (String, String)| PolicyText {
            name: name.into(),
            text: text.into(),
        };
        PolicyGeneration {
            number,
            fingerprint: format!("sha256:{number:064x}").into(),
            applied_by: PrincipalName::parse(&by).unwrap(),
            applied_at: at,
            texts: texts.into_iter().map(text).collect(),
        }
    })
}

fn system_keys() -> impl Strategy<Value = SystemKeys> {
    any::<[[u8; 32]; 5]>().prop_map(|[mut a, mut b, mut c, mut d, mut e]| SystemKeys {
        index: IndexKey::take_bytes(&mut a),
        set_hash: SetHashKey::take_bytes(&mut b),
        directory: IndexKey::take_bytes(&mut c),
        instance: InstanceSeed::take_bytes(&mut d),
        intake: IntakeKey::take_bytes(&mut e),
    })
}

fn log_head() -> impl Strategy<Value = LogHead> {
    ("[!-~]{1,80}", any::<u64>(), any::<[u8; 32]>()).prop_map(|(origin, size, root)| LogHead {
        origin: origin.into(),
        size,
        root,
    })
}

fn record() -> impl Strategy<Value = Record> {
    let mark = (timestamp(), any::<bool>())
        .prop_map(|(high_water, paused)| TimeMark { high_water, paused });
    let usage = (any::<u64>(), timestamp(), any::<u64>());
    let usage = usage.prop_map(|(uses, last_used_at, through_sequence)| UsageRecord {
        uses,
        last_used_at,
        through_sequence,
    });
    let month_key = any::<[u8; 32]>().prop_map(|mut b| AuditMonthKey::take_bytes(&mut b));
    prop_oneof![
        dataset().prop_map(Record::Dataset),
        version_record().prop_map(Record::Version),
        shred_record().prop_map(Record::Shred),
        secret_id().prop_map(Record::ShredName),
        key_id().prop_map(Record::DatasetName),
        request_record().prop_map(Record::Request),
        month_key.prop_map(Record::AuditKey),
        system_keys().prop_map(Record::SystemKeys),
        mark.prop_map(Record::TimeMark),
        usage.prop_map(Record::Usage),
        outbox_record().prop_map(Record::Outbox),
        log_head().prop_map(Record::LogHead),
        policies().prop_map(Record::Policies),
        timestamp().prop_map(Record::AuditTombstone),
    ]
}

/// Every field, one by one: records themselves cannot be compared, for they hold secrets.
fn same(a: &Record, b: &Record) -> bool {
    match (a, b) {
        (Record::Dataset(a), Record::Dataset(b)) => a == b,
        (Record::LogHead(a), Record::LogHead(b)) => a == b,
        (Record::AuditTombstone(a), Record::AuditTombstone(b)) => a == b,
        (Record::Version(a), Record::Version(b)) => {
            (a.key_id, a.number, a.state, &a.compromised, a.created_at)
                == (b.key_id, b.number, b.state, &b.compromised, b.created_at)
                && a.key.as_ref().map(VersionKey::expose_bytes)
                    == b.key.as_ref().map(VersionKey::expose_bytes)
        }
        (Record::Shred(a), Record::Shred(b)) => {
            (a.id, &a.scope, a.state, a.created_at, a.succeeds)
                == (b.id, &b.scope, b.state, b.created_at, b.succeeds)
                && a.secret.as_ref().map(ShredSecret::expose_bytes)
                    == b.secret.as_ref().map(ShredSecret::expose_bytes)
        }
        (Record::ShredName(a), Record::ShredName(b)) => a == b,
        (Record::DatasetName(a), Record::DatasetName(b)) => a == b,
        (Record::Request(a), Record::Request(b)) => a == b,
        (Record::AuditKey(a), Record::AuditKey(b)) => a.expose_bytes() == b.expose_bytes(),
        (Record::SystemKeys(a), Record::SystemKeys(b)) => {
            a.index.expose_bytes() == b.index.expose_bytes()
                && a.set_hash.expose_bytes() == b.set_hash.expose_bytes()
                && a.directory.expose_bytes() == b.directory.expose_bytes()
                && a.instance.expose_bytes() == b.instance.expose_bytes()
                && a.intake.expose_bytes() == b.intake.expose_bytes()
        }
        (Record::TimeMark(a), Record::TimeMark(b)) => a == b,
        (Record::Usage(a), Record::Usage(b)) => a == b,
        (Record::Outbox(a), Record::Outbox(b)) => a == b,
        (Record::Policies(a), Record::Policies(b)) => a == b,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_record_reads_as_it_was_written(record in record()) {
        let written = record.encode();
        let read = Record::decode(&written).unwrap();
        prop_assert!(same(&record, &read));
        prop_assert_eq!(&*read.encode(), &*written);
    }

    #[test]
    fn a_record_cut_short_or_extended_is_malformed(record in record(), at in any::<prop::sample::Index>()) {
        let written = record.encode();
        let short = &written[..at.index(written.len())];
        prop_assert!(Record::decode(short).is_err());
        prop_assert!(Record::decode(&[&written[..], &[0]].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_only_in_one_form(bytes in vec(any::<u8>(), 0..200), kind in 0_u8..13) {
        let bytes = [&[kind][..], &bytes].concat();
        if let Ok(record) = Record::decode(&bytes) {
            // a state without a time may carry one: it is written as zero
            prop_assert!(Record::decode(&record.encode()).is_ok_and(|again| same(&record, &again)));
        }
    }
}

#[test]
fn a_destroyed_version_has_no_key_and_every_other_has_one() {
    let record = |state, key| {
        let record = VersionRecord {
            key_id: KeyId([1; 16]),
            number: VersionNumber::FIRST,
            state,
            compromised: None,
            created_at: Timestamp::default(),
            key,
        };
        Record::decode(&Record::Version(record).encode())
    };
    let key = || Some(VersionKey::take_bytes(&mut [1; 32]));
    let destroyed = VersionState::Destroyed {
        at: Timestamp::default(),
    };
    assert!(record(destroyed, None).is_ok());
    assert!(record(destroyed, key()).is_err());
    assert!(record(VersionState::Active, key()).is_ok());
    assert!(record(VersionState::Active, None).is_err());
}
