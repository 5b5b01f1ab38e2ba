//! An error that never occurs: nothing is validated.

use std::marker::PhantomData;

/// Why a value does not match its schema.
#[derive(Debug)]
pub struct ValidationError<'a> {
    never: PhantomData<&'a ()>,
}
