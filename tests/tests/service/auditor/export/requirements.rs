//! What OCSF 1.3.0 asks of an API Activity (class 6003) and of the objects in it: required attributes, of which at least
//! one must be there, types, and the numbers that an enumeration has. From the schema's `events/base_event`,
//! `events/application/api_activity`, `includes/classification`, `includes/occurrence`, `objects/*`.

use serde_json::Value;

/// What an attribute must be.
#[derive(Debug, Clone, Copy)]
enum Is {
    /// Not empty.
    Text,
    Object,
    List,
    Number,
    Flag,
    /// One of these numbers.
    OneOf(&'static [i64]),
}
use Is::{Flag, List, Number, Object, OneOf, Text};

/// Attributes that must be there.
const REQUIRED: [(&str, Is); 14] = [
    ("/activity_id", OneOf(&[0, 1, 2, 3, 4, 99])),
    ("/category_uid", OneOf(&[6])),
    ("/class_uid", OneOf(&[6003])),
    ("/type_uid", Number),
    ("/severity_id", OneOf(&[0, 1, 2, 3, 4, 5, 6, 99])),
    ("/time", Number),
    ("/metadata", Object),
    ("/metadata/version", Text),
    ("/metadata/product", Object),
    ("/metadata/product/vendor_name", Text),
    ("/actor", Object),
    ("/api", Object),
    ("/api/operation", Text),
    ("/src_endpoint", Object),
];

/// Attributes that need not be there, and what they are where they are.
const TYPED: [(&str, Is); 24] = [
    ("/activity_name", Text),
    ("/category_name", Text),
    ("/class_name", Text),
    ("/type_name", Text),
    ("/severity", Text),
    ("/status_id", OneOf(&[0, 1, 2, 99])),
    ("/status", Text),
    ("/count", Number),
    ("/raw_data", Text),
    ("/unmapped", Object),
    ("/metadata/uid", Text),
    ("/metadata/sequence", Number),
    ("/metadata/event_code", Text),
    ("/metadata/log_name", Text),
    ("/metadata/original_time", Text),
    ("/metadata/correlation_uid", Text),
    ("/metadata/product/name", Text),
    ("/actor/session", Object),
    ("/actor/session/is_mfa", Flag),
    ("/actor/user/type_id", OneOf(&[0, 1, 2, 3, 99])),
    ("/api/request", Object),
    ("/api/response/code", Number),
    ("/api/response/error", Text),
    ("/resources", List),
];

/// Objects of which one of these attributes must be there, wherever the object is.
const AT_LEAST_ONE: [(&str, &[&str]); 4] = [
    (
        "/actor",
        &[
            "process",
            "user",
            "invoked_by",
            "session",
            "app_name",
            "app_uid",
        ],
    ),
    ("/actor/user", &["account", "name", "uid"]),
    ("/api/service", &["name", "uid"]),
    (
        "/src_endpoint",
        &[
            "ip",
            "uid",
            "name",
            "hostname",
            "svc_name",
            "instance_uid",
            "interface_uid",
            "interface_name",
            "domain",
        ],
    ),
];

impl Is {
    fn holds(self, value: &Value) -> bool {
        match self {
            Text => value.as_str().is_some_and(|text| !text.is_empty()),
            Object => value.is_object(),
            List => value.is_array(),
            Number => value.is_i64() || value.is_u64(),
            Flag => value.is_boolean(),
            OneOf(numbers) => value
                .as_i64()
                .is_some_and(|number| numbers.contains(&number)),
        }
    }
}

fn has_one(object: &Value, names: &[&str]) -> bool {
    names.iter().any(|name| match object.get(name) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(value) => !value.is_null(),
        None => false,
    })
}

/// The event's data meets all of it.
pub(super) fn assert_met(data: &Value) {
    for (place, is) in REQUIRED {
        let found = data.pointer(place);
        assert!(
            found.is_some_and(|it| is.holds(it)),
            "{place} {is:?}: {data}"
        );
    }
    for (place, is) in TYPED {
        if let Some(found) = data.pointer(place) {
            assert!(is.holds(found), "{place} {is:?}: {data}");
        }
    }
    for (place, names) in AT_LEAST_ONE {
        if let Some(found) = data.pointer(place) {
            assert!(has_one(found, names), "{place} {names:?}: {data}");
        }
    }
    let uid = &data["api"]["request"]["uid"];
    assert!(Text.holds(uid), "a request has its id: {data}");
    for resource in data["resources"].as_array().unwrap() {
        assert!(has_one(resource, &["name", "uid"]), "{data}");
        assert!(
            resource.as_object().unwrap().values().all(Value::is_string),
            "{data}"
        );
    }
    let number = |name: &str| data[name].as_i64().unwrap();
    assert_eq!(
        number("type_uid"),
        number("class_uid") * 100 + number("activity_id")
    );
}
