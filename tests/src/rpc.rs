//! Every RPC of the service, read from the descriptor: none can be forgotten by a test that walks this list.

use prost::Message;
use prost_types::FileDescriptorSet;

/// One RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rpc {
    /// For example `KeyService`.
    pub service: String,
    /// For example `GenerateDataKey`.
    pub method: String,
    /// For example `/kms.v1.KeyService/GenerateDataKey`.
    pub path: String,
    /// Messages flow both ways.
    pub streaming: bool,
}

/// All of them, in the order of the files.
#[must_use]
pub fn every() -> Vec<Rpc> {
    let set = FileDescriptorSet::decode(kms_proto::DESCRIPTORS).expect("the descriptor set");
    let mut found = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                found.push(Rpc {
                    service: service.name().to_owned(),
                    method: method.name().to_owned(),
                    path: format!("/{}.{}/{}", file.package(), service.name(), method.name()),
                    streaming: method.client_streaming(),
                });
            }
        }
    }
    assert!(found.len() > 20, "only {} RPCs", found.len());
    found
}
