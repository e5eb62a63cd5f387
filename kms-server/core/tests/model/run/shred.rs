//! Shred secrets: made ahead, blocked, unblocked, destroyed.

use super::{Repeat, Run};
use crate::naive::{self, Secret};
use crate::operation::{Operation, Use, Who};
use crate::world::allowed;
use kms_core::engine::{
    Decision, NewSecret, Refusal, SecretUse, Selector, ShredFace, block_shred,
    create_shred_secrets, destroy_shred, unblock_shred,
};
use kms_core::key::record::{RecordKey, ShredState};
use kms_core::name::ReasonText;
use kms_core::policy::Action;
use kms_core::reason::Reason;

impl Run {
    pub(super) fn create_secrets(
        &mut self,
        operation: &Operation,
        uses: &[Use],
        request: Option<u8>,
    ) {
        const ACTION: Action = Action::CreateShredSecret;
        let now = self.world.now;
        let asked = |u: &Use| SecretUse {
            create_if_absent: true,
            ..self.model.secret_use(*u, now)
        };
        let uses: Vec<_> = uses.iter().map(asked).collect();
        let scopes: Vec<_> = uses.iter().map(|u| u.scope.clone()).collect();
        let (idempotency, repeat) = self.idempotent(operation, ACTION, request);
        let gathered = self.world.gather(&scopes, &[]);
        let new = |u: &SecretUse| NewSecret {
            scope: u.scope.clone(),
            succeeds: u.succeeds,
        };
        let items: Vec<_> = uses.iter().map(|u| Ok((allowed(None), new(u)))).collect();
        let result = create_shred_secrets(
            &self.world.view(&gathered),
            &self.world.moment(),
            &items,
            idempotency.as_ref(),
        );
        let mut distinct = scopes.clone();
        distinct.sort();
        distinct.dedup();
        let mut whole = Vec::new();
        if uses.is_empty() || distinct.len() < scopes.len() {
            whole.push(Reason::InvalidArgument);
        }
        if matches!(repeat, Repeat::Other) {
            whole.push(Reason::RequestIdReused);
        }
        if let (Ok(decision), Repeat::Same(_)) = (&result, &repeat) {
            assert!(decision.change.is_none(), "a repeat makes nothing");
        }
        let Some(replies) = self.settle(ACTION, None, result, &whole) else {
            return;
        };
        if !matches!(repeat, Repeat::First) {
            return;
        }
        for (wanted, reply) in uses.iter().zip(replies) {
            match (reply, self.model.refuses(wanted)) {
                (Err(refusal), refused) => assert_eq!(Some(refusal.reason), refused),
                (Ok(made), refused) => {
                    assert_eq!(refused, None);
                    assert_eq!(
                        made.created,
                        !self.model.secrets.contains_key(&made.secret.id)
                    );
                    assert_eq!(self.found(wanted), made.secret.id);
                }
            }
        }
        self.remember(operation, ACTION, request, None);
    }

    pub(super) fn shred(&mut self, operation: &Operation, who: Who) {
        let scope = naive::scope(who, self.world.now);
        let gathered = self.world.gather(std::slice::from_ref(&scope), &[]);
        let (view, moment) = (self.world.view(&gathered), self.world.moment());
        let reason = ReasonText::parse("ticket 4711").unwrap();
        let selector = Selector::Scope(scope.clone());
        let (action, next, result): (_, _, Result<Decision<ShredFace>, Refusal>) = match operation {
            Operation::Block { .. } => (
                Action::BlockShredSecret,
                Secret::Blocked,
                block_shred(&view, &moment, &allowed(None), &selector, &reason),
            ),
            Operation::Unblock { .. } => (
                Action::UnblockShredSecret,
                Secret::Live,
                unblock_shred(&view, &moment, &allowed(None), &selector, &reason),
            ),
            _ => (
                Action::DestroyShredSecret,
                Secret::Dead,
                destroy_shred(&view, &moment, &allowed(None), &selector, &reason),
            ),
        };
        let id = self.model.newest.get(&scope).copied();
        let refused = match id.map(|id| self.model.secrets[&id]) {
            None => vec![Reason::ShredSecretMissing],
            Some(Secret::Dead) if next != Secret::Dead => vec![Reason::SubjectErased],
            Some(_) => vec![],
        };
        if let Ok(Some(change)) = result.as_ref().map(|decision| decision.change.as_ref()) {
            assert_eq!(change.restricts, next != Secret::Live);
        }
        if let (Some(face), Some(id)) = (self.settle(action, None, result, &refused), id) {
            assert_eq!(face.id, id);
            assert_eq!(
                matches!(face.state, ShredState::Destroyed { .. }),
                next == Secret::Dead
            );
            self.model.secrets.insert(id, next);
            assert!(
                self.world.store.contains_key(&RecordKey::shred(id)),
                "a tombstone stays"
            );
        }
    }
}
