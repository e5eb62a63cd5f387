//! A generation of access policies as it is kept: its whole text, for as long as the log is.

use crate::codec::{Malformed, Reader, Writer};
use crate::name::PrincipalName;
use crate::time::Timestamp;

/// One file of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// Its bare name.
    pub name: Box<str>,
    /// Its contents.
    pub text: Box<str>,
}

/// All policies that decide, from one moment to the next generation's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyGeneration {
    /// From 2; 1 is the table of roles. Stands in audit entries.
    pub number: u64,
    /// What stands for the texts where they do not stand themselves.
    pub fingerprint: Box<str>,
    /// Who put it into force.
    pub applied_by: PrincipalName,
    /// When.
    pub applied_at: Timestamp,
    /// The files, in the order of their names.
    pub texts: Vec<PolicyText>,
}

impl PolicyGeneration {
    pub(super) fn write(&self, w: &mut Writer) {
        w.u64(self.number)
            .short(self.fingerprint.as_bytes())
            .short(self.applied_by.as_str().as_bytes())
            .i64(self.applied_at.as_micros())
            .u16(u16::try_from(self.texts.len()).unwrap_or(u16::MAX));
        for text in &self.texts {
            w.short(text.name.as_bytes()).short(text.text.as_bytes());
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let number = r.u64()?;
        let fingerprint = r.text()?.into();
        let applied_by = PrincipalName::parse(r.text()?).map_err(|_| Malformed)?;
        let applied_at = Timestamp::from_micros(r.i64()?);
        let count = r.u16()?;
        let mut text = || {
            Ok(PolicyText {
                name: r.text()?.into(),
                text: r.text()?.into(),
            })
        };
        let texts = (0..count)
            .map(|_| text())
            .collect::<Result<_, Malformed>>()?;
        Ok(Self {
            number,
            fingerprint,
            applied_by,
            applied_at,
            texts,
        })
    }
}
