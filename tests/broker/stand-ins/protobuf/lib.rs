//! Empty: the library's storage depends on this crate without using it.
