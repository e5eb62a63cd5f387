//! `kms rewrap --reencrypt`: a new data key and new contents for one file. Dataset, key context and shred
//! secrets stay; the old file stays until the new one is whole.

use super::decrypt::{unwrap, warn_of_condition};
use super::encrypt::crashed;
use super::shred;
use crate::args::value;
use crate::destination::{Destination, Privacy, Target};
use crate::exit::Failure;
use crate::session::Session;
use kms_client::file::{Contents, Error, Header, InPlace};
use kms_client::{DataKeyRequest, ItemContext, KeyContext, ShredUse};
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Encrypts the file anew; the version that its new data key is wrapped under.
///
/// # Errors
/// The service's and the file system's; damage. The file is then as it was.
pub(crate) async fn reencrypt(
    session: &Session,
    path: &Path,
    key_context: &KeyContext,
) -> Result<u32, Failure> {
    let failed = |error| Failure::envelope(path, &error);
    let about = |failure: Failure| failure.about(path.display());
    // held to the end, so that no rewrap of the old file goes on beside it
    let locked = InPlace::lock(path).map_err(failed)?;
    let old = locked.header();
    warn_of_condition(session, path, old);
    let opened = unwrap(session, path, old, key_context.clone()).await?;
    let mut shred = Vec::new();
    for secret in &old.wrapped().header().secrets {
        let scope = shred::scope_of(session, secret.id).await.map_err(about)?;
        shred.push(ShredUse::from_scope(&scope)?);
    }
    let dataset = value::dataset(&opened.dataset).map_err(Failure::failed)?;
    let request = DataKeyRequest::new(dataset, key_context.clone(), shred)?;
    let made = session.client().await?.generate_data_key(&request).await;
    let made = made.map_err(|error| about(error.into()))?;

    let header = Header::make(&made.wrapped).map_err(failed)?;
    let item = ItemContext::default();
    let old_contents = Contents::new(old.file_id(), &opened.data_key, &item);
    let new_contents = Contents::new(header.file_id(), &made.data_key, &item);
    let copy = || -> Result<_, Error> {
        let found = locked.file().metadata()?;
        let privacy = Privacy::As {
            mode: found.mode(),
            owner: found.uid(),
            group: found.gid(),
        };
        Ok((privacy, locked.file().try_clone()?))
    };
    let (privacy, source) = copy().map_err(failed)?;
    let destination = Destination::open(Some(path), privacy)?;
    let target = destination.writer()?;
    let copying = tokio::task::spawn_blocking(move || {
        rewrite(&old_contents, source, &new_contents, &header, target)
    });
    copying.await.map_err(crashed)?.map_err(failed)?;
    destination.commit()?;
    Ok(made.wrapped.header().version)
}

/// Decrypts on one core while encrypting on the others; the plaintext is never on the disk.
fn rewrite(
    old: &Contents,
    mut source: File,
    new: &Contents,
    header: &Header,
    mut target: Target,
) -> Result<u64, Error> {
    source.seek(SeekFrom::Start(kms_client::file::HEADER_LEN as u64))?;
    target.write_all(&header.encode())?;
    new.encrypt(old.reader(source)?, target, 0)
}
