//! Five pitfalls of calls and messages. Each file under `tests` is one lesson: the wrong way, which really does the harm, and
//! beside it the right way with the part of this system that prevents it. Run them with `cargo test -p pitfalls`.
//!
//! | pitfall | lesson | prevented by |
//! |---|---|---|
//! | a call without a timeout | `tests/no_timeout.rs` | `service::deadline`, the layers and the client of `grpc` |
//! | an event without a duplicate check | `tests/no_duplicate_check.rs` | `consumer::inbox` |
//! | success shown before acceptance | `tests/success_before_acceptance.rs` | the commit of `sql` before the response |
//! | waiting right after an asynchronous send | `tests/waiting_after_a_send.rs` | ACCEPTED now, the outcome later |
//! | retries without a budget | `tests/retries_without_a_budget.rs` | the retry budget of `grpc::client` |
