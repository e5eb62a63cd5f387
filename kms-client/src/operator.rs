//! A person's way in: the session that calls of an operator carry, and who answers for password and codes.
//!
//! Never answers by itself but where the profile names files for it, and then only to a service that says it
//! is a development one.

mod files;

pub use files::AnswersFromFiles;

use crate::error::Error;
use data_encoding::BASE64URL_NOPAD;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use zeroize::Zeroizing;

/// `[operator]` of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorProfile {
    /// Who logs in.
    pub user: String,
    /// A file with the password; development only.
    pub password_file: Option<PathBuf>,
    /// A file with the authenticator's secret in base32; development only.
    pub totp_file: Option<PathBuf>,
}

/// Answers for a person. May ask one, and wait for the answer.
pub trait Answers: Send + Sync + fmt::Debug {
    /// The password.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unauthenticated`]: nobody answers.
    fn password(&self) -> Result<Zeroizing<String>, Error>;

    /// A code that was not given before; `why` says in words what it is for.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unauthenticated`]: nobody answers.
    fn code(&self, why: &str) -> Result<Zeroizing<String>, Error>;

    /// A session may be opened without being told to.
    fn opens_sessions(&self) -> bool;

    /// Answers only to a service that says it is a development one.
    fn only_development(&self) -> bool;
}

/// An operator on this side of the wire. Cheap to clone; clones share the session.
#[derive(Debug, Clone)]
pub struct Operator(Arc<Inner>);

struct Inner {
    user: String,
    answers: Box<dyn Answers>,
    token: Mutex<Option<Zeroizing<String>>>,
    approval: Option<String>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("user", &self.user)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}

impl Operator {
    /// Without a session yet.
    #[must_use]
    pub fn new(user: impl Into<String>, answers: Box<dyn Answers>) -> Self {
        Self::using(user, answers, None)
    }

    /// One whose calls use an approval: `approvals/{approval}`.
    #[must_use]
    pub fn using(
        user: impl Into<String>,
        answers: Box<dyn Answers>,
        approval: Option<String>,
    ) -> Self {
        Self(Arc::new(Inner {
            user: user.into(),
            answers,
            token: Mutex::new(None),
            approval,
        }))
    }

    /// Who it is.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// Who answers.
    #[must_use]
    pub fn answers(&self) -> &dyn Answers {
        &*self.0.answers
    }

    /// The session's token as it travels, if there is one.
    #[must_use]
    pub fn token(&self) -> Option<Zeroizing<String>> {
        let token = self.0.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.clone()
    }

    /// Takes a session over that was opened before, or forgets it.
    pub fn set_token(&self, token: Option<Zeroizing<String>>) {
        *self.0.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Takes the token of a login's answer over.
    pub fn opened(&self, token: &[u8]) {
        self.set_token(Some(Zeroizing::new(BASE64URL_NOPAD.encode(token))));
    }

    /// Puts session and code into a call's metadata.
    pub(crate) fn sign<M>(&self, request: &mut Request<M>, code: Option<&str>) {
        let mut put = |key: &'static str, text: &str| {
            // what cannot stand in a header is no token and no code: the service says what is missing
            if let Ok(mut value) = text.parse::<MetadataValue<Ascii>>() {
                value.set_sensitive(true);
                request.metadata_mut().insert(key, value);
            }
        };
        if let Some(token) = self.token() {
            put(kms_proto::SESSION_METADATA, &token);
        }
        if let Some(code) = code {
            put(kms_proto::CODE_METADATA, code);
        }
        if let Some(approval) = &self.0.approval {
            put(kms_proto::APPROVAL_METADATA, approval);
        }
    }
}
