//! Encrypt and Decrypt.

use super::{blamed, key_context, named, scopes, secret_uses};
use crate::call::operation::{At, Operation, Prepared, Refused, Scene, Target};
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::codec::crc32c;
use kms_core::engine::{
    Decision, DecryptItem, Decrypted, EncryptItem, Encrypted, Refusal, Snapshot, decrypt,
    decrypt_detail, encrypt, encrypt_detail, limits, parse_blob,
};
use kms_core::format::wrapped::{BlobKind, Header};
use kms_core::policy::{Action, Authorised, act};
use kms_proto::v1;

type Encrypting<'m> = (Authorised<act::Encrypt>, EncryptItem<'m>);
type Decrypting<'m> = (Authorised<act::Decrypt>, DecryptItem<'m>);

/// Encrypts a caller's bytes.
pub(in crate::call) struct Encrypt;

impl Encrypt {
    fn read<'m>(
        at: &At<'_>,
        target: Target<'_>,
        message: &'m v1::EncryptRequest,
    ) -> Result<Encrypting<'m>, Refusal> {
        let context = key_context(&message.key_context);
        let secrets = secret_uses(at, target, &message.shred_secrets);
        let (_, authorised) = target.authorise(at, context.as_ref().ok(), &scopes(&secrets))?;
        if message.plaintext.len() > limits::PLAINTEXT_MAX {
            return Err(Refusal::field("plaintext", "at most 64 KiB"));
        }
        parse::checksum(message.plaintext_crc32c, &message.plaintext)?;
        let item = EncryptItem {
            plaintext: &message.plaintext,
            context: context?,
            secrets: secrets?,
        };
        Ok((authorised, item))
    }
}

impl Operation for Encrypt {
    type Message = v1::EncryptRequest;
    type Input<'m> = Encrypting<'m>;
    type Reply = Encrypted;
    type Answer = v1::EncryptResponse;
    const ACTION: Action = Action::Encrypt;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Encrypting<'m>>, Refused> {
        let target = named(at, &message.dataset)?;
        let input = Self::read(at, target, message)
            .map_err(|refusal| Refused::about(target.key_id(), refusal))?;
        let mut prepared = Prepared::new(target.key_id(), input);
        let secrets = &prepared.input.1.secrets;
        prepared.needs.scopes = secrets.iter().map(|used| used.scope.clone()).collect();
        Ok(prepared)
    }

    fn describe(input: &Self::Input<'_>, snapshot: &Snapshot) -> Option<Detail> {
        let dataset = input.0.dataset();
        Some(encrypt_detail(snapshot, dataset, &input.1, Outcome::Ok))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Encrypted>, Refusal> {
        encrypt(&scene.view, &scene.moment, &input.0, &input.1)
    }

    fn answer(_: &Self::Message, reply: Encrypted, _: &Renderer<'_>) -> Self::Answer {
        v1::EncryptResponse {
            ciphertext_crc32c: crc32c(&reply.ciphertext),
            ciphertext: reply.ciphertext.into(),
            version: reply.version.get(),
        }
    }
}

/// Decrypts what [`Encrypt`] made.
pub(in crate::call) struct Decrypt;

impl Decrypt {
    fn read<'m>(
        at: &At<'_>,
        target: Target<'_>,
        message: &'m v1::DecryptRequest,
        header: Header,
        blob: &'m [u8],
    ) -> Result<Decrypting<'m>, Refusal> {
        let context = key_context(&message.key_context);
        let (_, authorised) = target.authorise(at, context.as_ref().ok(), &[])?;
        let item = DecryptItem {
            header,
            message: blob,
            context: context?,
        };
        Ok((authorised, item))
    }
}

impl Operation for Decrypt {
    type Message = v1::DecryptRequest;
    type Input<'m> = Decrypting<'m>;
    type Reply = Decrypted;
    type Answer = v1::DecryptResponse;
    const ACTION: Action = Action::Decrypt;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Decrypting<'m>>, Refused> {
        if message.ciphertext.len() > limits::CIPHERTEXT_MAX {
            return Err(Refusal::field("ciphertext", "at most 64 KiB + 256 bytes").into());
        }
        parse::checksum(message.ciphertext_crc32c, &message.ciphertext)?;
        let (header, blob) = parse_blob(BlobKind::Ciphertext, &message.ciphertext)?;
        let target = blamed(at, &header);
        let input = Self::read(at, target, message, header, blob)
            .map_err(|refusal| Refused::about(target.key_id(), refusal))?;
        let mut prepared = Prepared::new(target.key_id(), input);
        let secrets = prepared.input.1.header.secrets();
        prepared.needs.ids = secrets.iter().map(|secret| secret.id).collect();
        Ok(prepared)
    }

    fn describe(input: &Self::Input<'_>, snapshot: &Snapshot) -> Option<Detail> {
        let dataset = input.0.dataset();
        Some(decrypt_detail(snapshot, dataset, &input.1, Outcome::Ok))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Decrypted>, Refusal> {
        decrypt(&scene.view, &input.0, &input.1)
    }

    fn answer(_: &Self::Message, reply: Decrypted, with: &Renderer<'_>) -> Self::Answer {
        v1::DecryptResponse {
            plaintext_crc32c: crc32c(&reply.plaintext),
            plaintext: reply.plaintext.to_vec().into(),
            dataset: with.name_of(reply.key_id),
            version: reply.version.get(),
            version_active: reply.active,
            version_compromised: reply.compromised,
        }
    }
}
