//! Compiles `kms/v1/*.proto` without protoc and keeps the descriptor set for dispatch, reflection and tests.
use prost::Message as _;

const FILES: [&str; 11] = [
    "kms/v1/approval_service.proto",
    "kms/v1/audit_service.proto",
    "kms/v1/auth_service.proto",
    "kms/v1/dataset_service.proto",
    "kms/v1/error.proto",
    "kms/v1/identity_service.proto",
    "kms/v1/key_service.proto",
    "kms/v1/policy_service.proto",
    "kms/v1/resources.proto",
    "kms/v1/shred_service.proto",
    "kms/v1/system_service.proto",
];

/// Messages with plaintext keys, plaintext, a passphrase, password, code or token: their derived `Debug` would print it.
const SECRET_MESSAGES: [&str; 19] = [
    ".kms.v1.GenerateDataKeyResponse",
    ".kms.v1.GenerateDataKeysResponse",
    ".kms.v1.UnwrapDataKeyResponse",
    ".kms.v1.UnwrapDataKeysResponse",
    ".kms.v1.EncryptRequest",
    ".kms.v1.DecryptResponse",
    ".kms.v1.UnsealRequest",
    ".kms.v1.LoginRequest",
    ".kms.v1.LoginResponse",
    ".kms.v1.ChangePasswordRequest",
    ".kms.v1.BeginEnrolmentRequest",
    ".kms.v1.BeginEnrolmentResponse",
    ".kms.v1.ConfirmEnrolmentRequest",
    ".kms.v1.ConfirmEnrolmentResponse",
    ".kms.v1.AddOperatorResponse",
    ".kms.v1.ResetOperatorMfaResponse",
    ".kms.v1.RecoverOperatorRequest",
    ".kms.v1.RecoverOperatorResponse",
    ".kms.v1.AddServiceResponse",
];

/// An implementation of `DryRun` for each request.
fn dry_runs(descriptors: &prost_types::FileDescriptorSet) -> String {
    let messages = descriptors
        .file
        .iter()
        .filter(|file| file.package() == "kms.v1");
    let messages = messages.flat_map(|file| &file.message_type);
    let requests = messages.filter(|message| message.name().ends_with("Request"));
    let implementation = |message: &prost_types::DescriptorProto| {
        let has_it = message
            .field
            .iter()
            .any(|field| field.name() == "validate_only");
        let set = if has_it {
            "self.validate_only = true;"
        } else {
            ""
        };
        format!(
            "impl crate::DryRun for {} {{ fn only_validate(&mut self) -> bool {{ {set} {has_it} }} }}\n",
            message.name()
        )
    };
    requests.map(implementation).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(FILES, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("kms.v1.descriptors"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .btree_map(".")
        .bytes(".")
        .skip_debug(SECRET_MESSAGES)
        .compile_fds(descriptors.clone())?;
    std::fs::write(out.join("dry_run.rs"), dry_runs(&descriptors))?;
    println!("cargo:rerun-if-changed=kms");
    Ok(())
}
