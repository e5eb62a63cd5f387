//! `Debug` for the messages that carry secrets: says that something is there, never what.

use crate::v1;
use std::fmt;

macro_rules! redacted {
    ($($message:ident),+ $(,)?) => {$(
        impl fmt::Debug for v1::$message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), " { <redacted> }"))
            }
        }
    )+};
}

redacted!(
    GenerateDataKeyResponse,
    GenerateDataKeysResponse,
    UnwrapDataKeyResponse,
    UnwrapDataKeysResponse,
    EncryptRequest,
    DecryptResponse,
    UnsealRequest,
    LoginRequest,
    LoginResponse,
    ChangePasswordRequest,
    BeginEnrolmentRequest,
    BeginEnrolmentResponse,
    ConfirmEnrolmentRequest,
    ConfirmEnrolmentResponse,
    AddOperatorResponse,
    ResetOperatorMfaResponse,
    AddServiceResponse,
);

#[cfg(test)]
mod tests {
    use super::v1;

    #[test]
    fn debug_of_a_secret_message_shows_no_byte_of_it() {
        let message = v1::UnsealRequest {
            passphrase: b"hunter2".as_slice().into(),
            ..v1::UnsealRequest::default()
        };
        assert_eq!(format!("{message:?}"), "UnsealRequest { <redacted> }");
    }
}
