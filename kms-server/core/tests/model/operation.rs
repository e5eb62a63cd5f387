//! What may happen, in small numbers, so that operations meet each other's traces.

use proptest::prelude::*;

/// A shred secret by small numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    /// 0 subject, 1 account, 2 period.
    pub(crate) kind: u8,
    /// Account 0 or 1.
    pub(crate) account: u8,
    /// Subject 0 or 1.
    pub(crate) name: u8,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) who: Who,
    pub(crate) create: bool,
    /// Say that the newest secret of the scope is succeeded; or say another id.
    pub(crate) succeeds: Option<bool>,
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Create {
        name: u8,
        required: Vec<u8>,
        protected: bool,
        request: Option<u8>,
    },
    Update {
        dataset: u8,
        stale: bool,
        lift: bool,
        protect: Option<bool>,
        days: Option<u16>,
    },
    Rotate {
        dataset: u8,
        request: Option<u8>,
    },
    Emergency {
        dataset: u8,
    },
    Scheduled {
        dataset: u8,
    },
    Disable {
        dataset: u8,
        version: u8,
    },
    Enable {
        dataset: u8,
        version: u8,
    },
    Schedule {
        dataset: u8,
        version: u8,
        days: u8,
    },
    Restore {
        dataset: u8,
        version: u8,
    },
    Due {
        dataset: u8,
        version: u8,
    },
    Generate {
        dataset: u8,
        context: u8,
        uses: Vec<Use>,
    },
    GenerateMany {
        dataset: u8,
        items: Vec<(u8, Vec<Use>)>,
    },
    Encrypt {
        dataset: u8,
        context: u8,
        uses: Vec<Use>,
    },
    Rewrap {
        blob: u8,
        keep: bool,
    },
    CreateSecrets {
        uses: Vec<Use>,
        request: Option<u8>,
    },
    Block {
        who: Who,
    },
    Unblock {
        who: Who,
    },
    Destroy {
        who: Who,
    },
    /// Time passes; the time mark follows, or a restart comes before it could.
    Pass {
        hours: u16,
        marked: bool,
    },
    Pause {
        paused: bool,
    },
}

fn who() -> impl Strategy<Value = Who> {
    (0_u8..3, 0_u8..2, 0_u8..2).prop_map(|(kind, account, name)| Who {
        kind,
        account: if kind == 2 { 0 } else { account },
        name: if kind == 0 { name } else { 0 },
    })
}

fn uses(max: usize) -> impl Strategy<Value = Vec<Use>> {
    let one = (
        who(),
        prop::bool::weighted(0.8),
        prop::option::weighted(0.25, any::<bool>()),
    );
    let one = one.prop_map(|(who, create, succeeds)| Use {
        who,
        create,
        // most calls know of no predecessor
        succeeds,
    });
    prop::collection::vec(one, 0..=max)
}

pub(crate) fn any_operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    let (dataset, version) = (0_u8..2, 1_u8..4);
    let place = (dataset.clone(), version);
    let request = || prop::option::weighted(0.3, 0_u8..4);
    let kinds = prop::collection::vec(0_u8..3, 0..2);
    prop_oneof![
        2 => (dataset.clone(), kinds, prop::bool::weighted(0.3), request()).prop_map(
            |(name, required, protected, request)| O::Create { name, required, protected, request }),
        4 => (dataset.clone(), prop::bool::weighted(0.1), any::<bool>(), any::<Option<bool>>(), prop::option::of(0_u16..400))
            .prop_map(|(dataset, stale, lift, protect, days)| O::Update { dataset, stale, lift, protect, days }),
        2 => (dataset.clone(), request()).prop_map(|(dataset, request)| O::Rotate { dataset, request }),
        1 => dataset.clone().prop_map(|dataset| O::Emergency { dataset }),
        1 => dataset.clone().prop_map(|dataset| O::Scheduled { dataset }),
        2 => place.clone().prop_map(|(dataset, version)| O::Disable { dataset, version }),
        2 => place.clone().prop_map(|(dataset, version)| O::Enable { dataset, version }),
        4 => (place.clone(), 5_u8..93).prop_map(
            |((dataset, version), days)| O::Schedule { dataset, version, days }),
        1 => place.clone().prop_map(|(dataset, version)| O::Restore { dataset, version }),
        4 => place.prop_map(|(dataset, version)| O::Due { dataset, version }),
        4 => (dataset.clone(), 0_u8..3, uses(3)).prop_map(
            |(dataset, context, uses)| O::Generate { dataset, context, uses }),
        2 => (dataset.clone(), prop::collection::vec((0_u8..3, uses(2)), 0..5)).prop_map(
            |(dataset, items)| O::GenerateMany { dataset, items }),
        2 => (dataset, 0_u8..3, uses(5)).prop_map(
            |(dataset, context, uses)| O::Encrypt { dataset, context, uses }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(blob, keep)| O::Rewrap { blob, keep }),
        2 => (uses(4), request()).prop_map(|(uses, request)| O::CreateSecrets { uses, request }),
        1 => who().prop_map(|who| O::Block { who }),
        1 => who().prop_map(|who| O::Unblock { who }),
        1 => who().prop_map(|who| O::Destroy { who }),
        3 => (1_u16..2_400, prop::bool::weighted(0.8)).prop_map(|(hours, marked)| O::Pass { hours, marked }),
        1 => prop::bool::weighted(0.2).prop_map(|paused| O::Pause { paused }),
    ]
}
