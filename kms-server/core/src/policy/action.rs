//! The closed list of actions. Each RPC names one; jobs have their own. Numbers stand in audit leaves and
//! never change their meaning.

/// One action as a type, so that a proof for one is no proof for another.
pub trait ActionKind: Send + Sync + 'static {
    /// Its value.
    const ACTION: Action;
}

macro_rules! actions {
    ($($number:literal $name:ident $doc:literal),+ $(,)?) => {
        /// What a call does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Action {$(
            #[doc = $doc]
            $name = $number,
        )+}

        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name, as policies and the audit log say it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$name => stringify!($name),)+}
            }

            /// Its number in audit leaves.
            #[must_use]
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// From its number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {$($number => Some(Self::$name),)+ _ => None}
            }
        }

        /// Each action as a type.
        pub mod act {
            use super::{Action, ActionKind};
            $(
                #[doc = $doc]
                #[derive(Debug)]
                pub enum $name {}
                impl ActionKind for $name {
                    const ACTION: Action = Action::$name;
                }
            )+
        }
    };
}

actions! {
    1 GenerateDataKey "Makes a data key.",
    2 UnwrapDataKey "Opens a wrapped data key.",
    3 Encrypt "Encrypts under a dataset key.",
    4 Decrypt "Decrypts under a dataset key.",
    5 Rewrap "Wraps a data key again under the ACTIVE version.",
    10 CreateDataset "Makes a dataset.",
    11 GetDataset "Reads one dataset.",
    12 ListDatasets "Lists datasets.",
    13 UpdateDataset "Changes a dataset's policy.",
    14 LiftDeletionProtection "Lifts a dataset's deletion protection.",
    15 RotateDataset "Makes a new ACTIVE version.",
    16 EmergencyRotateDataset "Rotates and marks the older versions compromised.",
    17 ListVersions "Lists a dataset's versions.",
    18 DisableVersion "Disables a version.",
    19 EnableVersion "Enables a version.",
    20 ScheduleVersionDestruction "Schedules a version's destruction.",
    21 RestoreVersion "Cancels a scheduled destruction.",
    22 LabelDataset "Changes what a dataset's labels say to access policies.",
    30 CreateShredSecret "Makes a shred secret.",
    31 GetShredSecret "Reads a shred secret's state.",
    32 BlockShredSecret "Blocks a shred secret.",
    33 UnblockShredSecret "Unblocks a shred secret.",
    34 DestroyShredSecret "Destroys a shred secret.",
    40 GetStatus "Reads the daemon's status.",
    41 Seal "Seals the daemon.",
    42 Unseal "Unseals the daemon.",
    43 ConfirmClock "Confirms the clock.",
    50 ListEntries "Reads the audit log.",
    51 GetLogFiles "Reads files of the audit log's tree.",
    52 SignExport "Signs what was exported of the audit log.",
    53 SummarizeEntries "Counts entries of the audit log.",
    54 GetAccess "Says who could do what at a time.",
    55 ReportCachedUses "Says how often remembered data keys were used.",
    56 RotateLogKey "Makes the next key that signs the audit log's checkpoints.",
    60 ScheduledRotation "A job rotates a dataset that is due.",
    61 DueDestruction "A job destroys a version whose waiting time is over.",
    62 CreatePeriodSecret "A job makes a period secret ahead of time.",
    63 CreateAuditKey "A job makes a month's audit key ahead of time.",
    64 MarkTime "A job advances the time mark or pauses irreversible timers.",
    65 FlushUsage "A job stores usage counts.",
    66 ForgetRequests "A job removes request ids older than a day.",
    67 Start "The daemon started.",
    68 Stop "The daemon stopped.",
    69 Quarantine "A stored record was found damaged.",
    70 Refuse "Calls refused before they named an action, counted.",
    75 CreateLogKey "A job makes the key that signs the audit log's checkpoints.",
    80 Login "Opens a session of an operator.",
    81 Logout "Ends a session.",
    82 WhoAmI "Reads one's own session, roles and second factor.",
    83 BeginEnrolment "Begins an enrolment: token and password for an authenticator's secret.",
    84 ConfirmEnrolment "Ends an enrolment by a code of the new authenticator.",
    85 ChangePassword "Changes one's own password.",
    86 AcceptCode "Takes a new code that came with a request.",
    87 AddOperator "Makes an operator.",
    88 ListOperators "Lists operators.",
    89 DisableOperator "Disables an operator.",
    90 EnableOperator "Enables an operator.",
    91 ResetOperatorMfa "Takes an operator's authenticator away and permits a new enrolment.",
    92 RemoveOperator "Removes an operator for ever.",
    93 UnlockOperator "Lifts an operator's lockout.",
    94 SetOperatorRoles "Changes an operator's roles.",
    95 AddService "Permits a service or desk to enrol with the built-in authority.",
    96 ListServices "Lists what the built-in authority certifies.",
    97 RevokeService "Ends every certificate of a service or desk.",
    98 EnrolService "Makes the first certificate of a service or desk, for its token.",
    99 RenewService "Makes the next certificate, for the one before.",
    110 ApplyPolicies "Puts access policies into force.",
    111 GetPolicies "Reads access policies, of now or of before.",
    112 TestPolicies "Asks what the policies would decide for somebody.",
    113 ReloadPolicies "The daemon puts policies into force again that were approved before.",
    120 ListApprovals "Lists pending approvals.",
    121 GetApproval "Reads one approval, as it is to be signed.",
    122 Approve "Signs a pending approval.",
    123 RejectApproval "Ends a pending approval of somebody else.",
    124 CancelApproval "Ends a pending approval of one's own.",
    125 AddApproverKey "Enrols a key with which one approves.",
    126 RemoveApproverKey "Takes a key away from an approver.",
    127 GetRoster "Reads who may approve and what needs it.",
    128 DeclareRoster "Declares the roster and takes the configured approval rules into force.",
    129 RecoverOperator "Lets an operator in again by the recovery passphrase.",
    130 ConfirmAnchors "The anchors vouched for the log at unseal.",
    131 DueAnonymisation "A job destroys the audit key of a month long past.",
    132 AnonymiseMonth "Destroys the audit key of a month that is over.",
    140 ForwardEntries "The daemon forwards the audit log to a receiver.",
    145 ApproveTrust "Takes the configured authorities, principals and issuers into force.",
    146 GetTrust "Reads what says who is who: in force, and configured.",
    147 AdoptTrust "The daemon takes a first configuration, or a development one, into force.",
}

impl Action {
    /// Whether it is about one dataset, as the schema of policies says.
    #[must_use]
    pub const fn is_about_dataset(self) -> bool {
        matches!(
            self,
            Self::GenerateDataKey
                | Self::UnwrapDataKey
                | Self::Encrypt
                | Self::Decrypt
                | Self::Rewrap
                | Self::ReportCachedUses
                | Self::GetDataset
                | Self::UpdateDataset
                | Self::LabelDataset
                | Self::LiftDeletionProtection
                | Self::RotateDataset
                | Self::EmergencyRotateDataset
                | Self::ListVersions
                | Self::DisableVersion
                | Self::EnableVersion
                | Self::ScheduleVersionDestruction
                | Self::RestoreVersion
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_and_names_are_unique() {
        for action in Action::ALL {
            assert_eq!(Action::from_number(action.number()), Some(*action));
        }
        let mut names: Vec<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
    }
}
