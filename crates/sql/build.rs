//! The migrations are compiled in, those of the tests too: a change of theirs must compile the crate anew.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=tests/migrations");
    println!("cargo:rerun-if-changed=tests/migrations_postgres");
    println!("cargo:rerun-if-changed=tests/owner/migrations");
}
