//! The key-operation log on disk: appended by one thread, durable before any answer.
