//! Bytes of services, desks and their authority.

use super::time;
use crate::codec::{Malformed, Reader, Writer};
use crate::key::record::{AuthorityRecord, Certified, ServiceRecord, ServiceState, ServiceToken};
use crate::name::{Purpose, ServiceName};
use crate::secret::AuthoritySeed;

pub(super) fn write(w: &mut Writer, record: &ServiceRecord) {
    w.short(record.name.as_str().as_bytes());
    w.u8(record.purpose as u8);
    let (state, at) = match record.state {
        ServiceState::Open => (1, None),
        ServiceState::Revoked { at } => (2, Some(at)),
    };
    w.u8(state).i64(at.unwrap_or_default().as_micros());
    w.option(record.token.as_ref(), |w, token| {
        w.bytes(&token.hash).i64(token.expires_at.as_micros());
    });
    w.option(record.current.as_ref(), write_certified);
    w.option(record.previous.as_ref(), write_certified);
    w.i64(record.created_at.as_micros());
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<ServiceRecord, Malformed> {
    let name = ServiceName::parse(r.text()?).map_err(|_| Malformed)?;
    let purpose = Purpose::from_number(r.u8()?).ok_or(Malformed)?;
    let (state, at) = (r.u8()?, time(r)?);
    let state = match state {
        1 => ServiceState::Open,
        2 => ServiceState::Revoked { at },
        _ => return Err(Malformed),
    };
    let token = r.option(|r| {
        Ok(ServiceToken {
            hash: r.array()?,
            expires_at: time(r)?,
        })
    })?;
    Ok(ServiceRecord {
        name,
        purpose,
        state,
        token,
        current: r.option(read_certified)?,
        previous: r.option(read_certified)?,
        created_at: time(r)?,
    })
}

fn write_certified(w: &mut Writer, certified: &Certified) {
    w.bytes(&certified.sha256)
        .i64(certified.issued_at.as_micros())
        .i64(certified.expires_at.as_micros());
}

fn read_certified(r: &mut Reader<'_>) -> Result<Certified, Malformed> {
    Ok(Certified {
        sha256: r.array()?,
        issued_at: time(r)?,
        expires_at: time(r)?,
    })
}

pub(super) fn write_authority(w: &mut Writer, record: &AuthorityRecord) {
    w.bytes(record.seed.expose_bytes())
        .short(&record.certificate);
}

pub(super) fn read_authority(r: &mut Reader<'_>) -> Result<AuthorityRecord, Malformed> {
    Ok(AuthorityRecord {
        seed: AuthoritySeed::from_slice(r.bytes(32)?).ok_or(Malformed)?,
        certificate: r.short()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::record::Record;
    use crate::time::Timestamp;
    use proptest::option;
    use proptest::prelude::*;

    fn at() -> impl Strategy<Value = Timestamp> {
        any::<i64>().prop_map(Timestamp::from_micros)
    }

    fn certified() -> impl Strategy<Value = Certified> {
        (any::<[u8; 32]>(), at(), at()).prop_map(|(sha256, issued_at, expires_at)| Certified {
            sha256,
            issued_at,
            expires_at,
        })
    }

    fn service() -> impl Strategy<Value = ServiceRecord> {
        let state = prop_oneof![
            Just(ServiceState::Open),
            at().prop_map(|at| ServiceState::Revoked { at }),
        ];
        let token = (any::<[u8; 32]>(), at())
            .prop_map(|(hash, expires_at)| ServiceToken { hash, expires_at });
        let purpose = prop_oneof![Just(Purpose::Service), Just(Purpose::Desk)];
        let certificates = (option::of(certified()), option::of(certified()));
        (
            "[a-z][a-z0-9.-]{0,20}",
            purpose,
            state,
            option::of(token),
            certificates,
            at(),
        )
            .prop_map(
                |(name, purpose, state, token, (current, previous), created_at)| ServiceRecord {
                    name: ServiceName::parse(&name).unwrap(),
                    purpose,
                    state,
                    token,
                    current,
                    previous,
                    created_at,
                },
            )
    }

    proptest! {
        #[test]
        fn a_service_reads_as_it_was_written(record in service(), cut in any::<prop::sample::Index>()) {
            let written = Record::Service(record.clone()).encode();
            match Record::decode(&written) {
                Ok(Record::Service(read)) => prop_assert_eq!(read, record),
                other => prop_assert!(false, "{other:?}"),
            }
            prop_assert!(Record::decode(&written[..cut.index(written.len())]).is_err());
            prop_assert!(Record::decode(&[&written[..], &[0]].concat()).is_err());
        }

        #[test]
        fn an_authority_reads_as_it_was_written(mut seed in any::<[u8; 32]>(), certificate in proptest::collection::vec(any::<u8>(), 0..600)) {
            let record = AuthorityRecord { seed: AuthoritySeed::take_bytes(&mut seed), certificate: certificate.into() };
            let written = Record::Authority(record).encode();
            let read = Record::decode(&written).unwrap();
            prop_assert_eq!(&*read.encode(), &*written);
            prop_assert!(Record::decode(&[&written[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn only_open_records_take_certificates_and_only_the_two_they_name() {
        let at = Timestamp::from_micros(5);
        let of = |byte| Certified {
            sha256: [byte; 32],
            issued_at: at,
            expires_at: at,
        };
        let mut record = ServiceRecord {
            name: ServiceName::parse("web").unwrap(),
            purpose: Purpose::Service,
            state: ServiceState::Open,
            token: None,
            current: Some(of(2)),
            previous: Some(of(1)),
            created_at: at,
        };
        assert!(record.takes(&[1; 32]) && record.takes(&[2; 32]) && !record.takes(&[3; 32]));
        record.state = ServiceState::Revoked { at };
        assert!(!record.takes(&[1; 32]) && !record.takes(&[2; 32]));
    }
}
