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
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=kms");
    Ok(())
}
