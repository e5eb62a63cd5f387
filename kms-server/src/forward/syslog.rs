//! Syslog over TLS: messages as RFC 5424 has them, framed by octet counting (RFC 5425, 4.3). One connection for each
//! batch, ended by both sides' closure alerts: the only sign that the protocol has for "taken".

use super::Event;
use crate::system::clock::Clock;
use crate::system::outgoing::Outgoing;
use kms_core::time::Timestamp;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// Port of syslog over TLS (RFC 5425, 4.1).
const PORT: u16 = 6514;
/// "Log audit" (RFC 5424, 6.2.1).
const FACILITY: u8 = 13;
/// The name of the program in messages.
const APP_NAME: &str = "kms";
/// `sequenceId` goes to here and begins anew with 1 (RFC 5424, 7.3.1); the whole number stands in the message.
const SEQUENCE_MAX: u64 = 0x7fff_ffff;

#[derive(Debug)]
pub(super) struct Syslog(Outgoing);

impl Syslog {
    pub(super) fn new(address: &str, ca: &Path, clock: &Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self(Outgoing::stream(address, PORT, ca, clock)?))
    }

    pub(super) async fn send(&self, events: &[Event], clock: &dyn Clock) -> Result<(), String> {
        let frames: String = events.iter().map(framed).collect();
        self.0.pour(frames.as_bytes(), clock).await
    }
}

/// A message behind its length.
fn framed(event: &Event) -> String {
    let message = message(event);
    format!("{} {message}", message.len())
}

fn message(event: &Event) -> String {
    let mut text = String::with_capacity(event.json.len() + 96);
    let priority = FACILITY * 8 + event.weight as u8;
    let sequence = event.sequence % SEQUENCE_MAX + 1;
    let (time, kind) = (time(event.at), &event.kind);
    // who we are stands in the message and in our certificate's place: the connection; RFC 5424 has a sign for "not said"
    let _ = write!(
        text,
        "<{priority}>1 {time} - {APP_NAME} - {kind} [meta sequenceId=\"{sequence}\"] {}",
        event.json
    );
    text
}

/// RFC 5424, 6.2.3: at most six digits of a second.
fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    #[test]
    fn a_message_is_one_of_rfc_5424_behind_its_length() {
        let event = Event {
            at: Timestamp::from_micros(1_795_500_000_250_000),
            sequence: SEQUENCE_MAX,
            kind: "call".into(),
            weight: Weight::Notice,
            json: "{\"id\":\"kms/1#7\"}".into(),
        };
        let message = "<109>1 2026-11-24T06:00:00.250000Z - kms - call [meta sequenceId=\"1\"] \
                       {\"id\":\"kms/1#7\"}";
        assert_eq!(framed(&event), format!("{} {message}", message.len()));
    }
}
