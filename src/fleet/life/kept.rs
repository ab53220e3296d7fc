//! A record that everybody reads and its owner alone writes.

use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// A record of the owner's. Its fields are read through it; only this folder takes it by [`Kept::write`], so that nobody else changes what is
/// kept of a device or a command, and the compiler says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kept<T>(T);

impl<T> Kept<T> {
    /// A new record.
    pub(in crate::fleet::life) fn new(fields: T) -> Self {
        Self(fields)
    }

    /// Its fields, to change them.
    pub(in crate::fleet::life) fn write(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
