//! Nothing: the library's storage names this crate and uses nothing of it.
