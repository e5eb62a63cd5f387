//! The method table, made from the descriptor: an RPC without a row here does not exist.

use crate::call::road::Method;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use std::collections::HashMap;
use std::sync::LazyLock;

static TABLE: LazyLock<HashMap<&'static str, &'static Method>> = LazyLock::new(|| {
    // a constant of the build: a test sees to it that it decodes
    let set = FileDescriptorSet::decode(kms_proto::DESCRIPTORS).unwrap_or_default();
    methods(&set).map(|method| (method.path, method)).collect()
});

/// The method of a path; `None` when there is none.
#[must_use]
pub fn find(path: &str) -> Option<&'static Method> {
    TABLE.get(path).copied()
}

/// All methods, in no order.
pub fn all() -> impl Iterator<Item = &'static Method> {
    TABLE.values().copied()
}

/// Lives as long as the process: made once.
fn methods(set: &FileDescriptorSet) -> impl Iterator<Item = &'static Method> {
    set.file.iter().flat_map(|file| {
        file.service.iter().flat_map(|service| {
            let full: &'static str = format!("{}.{}", file.package(), service.name()).leak();
            service.method.iter().map(move |method| {
                let path: &'static str = format!("/{full}/{}", method.name()).leak();
                let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
                let streaming = method.client_streaming() && method.server_streaming();
                &*Box::leak(Box::new(Method {
                    path,
                    service: full,
                    name,
                    streaming,
                }))
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_descriptor() {
        let set = FileDescriptorSet::decode(kms_proto::DESCRIPTORS).unwrap();
        let mut count = 0;
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/kms.v1.{}/{}", service.name(), method.name());
                    let row = find(&path).unwrap();
                    assert_eq!(row.path, path);
                    assert_eq!(row.service, format!("kms.v1.{}", service.name()));
                    assert_eq!(row.name, method.name());
                    assert_eq!(row.streaming, method.client_streaming());
                    // the transport knows unary calls and streams of calls, nothing between
                    assert_eq!(method.client_streaming(), method.server_streaming());
                    count += 1;
                }
            }
        }
        assert_eq!(all().count(), count);
        assert!(count >= 27, "{count} methods");
        assert!(find("/kms.v1.KeyService/Nothing").is_none());
        assert!(find("/kms.v1.KeyService/Encrypt/").is_none());
        assert!(find("").is_none());
    }
}
