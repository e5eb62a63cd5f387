//! What of the configuration says who is who, as it was approved: the whole of it, so that it stays in force when the files
//! say something else.

use crate::codec::{Malformed, Reader, Writer};
use crate::name::PrincipalName;
use crate::time::Timestamp;

/// Most bytes of a document.
pub const DOCUMENT_MAX: usize = 48 * 1024;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRecord {
    /// Authorities, principals and issuers, as the configuration writes them down; at most [`DOCUMENT_MAX`] bytes.
    pub document: Box<str>,
    /// Of a development installation: what its files say later is adopted by itself.
    pub development: bool,
    /// Who put it into force.
    pub approved_by: PrincipalName,
    /// When.
    pub approved_at: Timestamp,
}

impl TrustRecord {
    pub(super) fn write(&self, w: &mut Writer) {
        w.short(self.document.as_bytes())
            .u8(u8::from(self.development))
            .short(self.approved_by.as_str().as_bytes())
            .i64(self.approved_at.as_micros());
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let document = r.text()?.into();
        let development = match r.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        Ok(Self {
            document,
            development,
            approved_by: PrincipalName::parse(r.text()?).map_err(|_| Malformed)?,
            approved_at: Timestamp::from_micros(r.i64()?),
        })
    }
}
