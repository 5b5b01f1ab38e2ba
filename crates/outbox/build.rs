//! The migrations are compiled in: a change of theirs must compile the crate anew.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
