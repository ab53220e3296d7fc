//! What can be done with a record whose type is known by its kind alone: show it, and make one of its JSON.

use super::{Entry, Fault, Record, read_record, written};
use serde_json::Value;

/// A kind of records.
#[derive(Clone, Copy)]
pub struct Kind {
    /// As it stands in keys.
    pub name: &'static str,
    show: fn(&str, &[u8]) -> Result<Value, Fault>,
    pack: fn(&str, Value) -> Result<Entry, Fault>,
}

impl Kind {
    /// The kind of this type.
    pub const fn of<R: Record>() -> Self {
        Self { name: R::KIND, show: show::<R>, pack: pack::<R> }
    }

    /// The record in these bytes, as JSON with the names of its fields.
    pub fn show(&self, key: &str, bytes: &[u8]) -> Result<Value, Fault> {
        (self.show)(key, bytes)
    }

    /// Key and bytes of the record that this JSON tells of.
    pub fn pack(&self, tenant: &str, json: Value) -> Result<Entry, Fault> {
        (self.pack)(tenant, json)
    }
}

fn show<R: Record>(key: &str, bytes: &[u8]) -> Result<Value, Fault> {
    let record: R = read_record(key, bytes)?;
    serde_json::to_value(record).map_err(|e| corrupt(key, &e))
}

fn pack<R: Record>(tenant: &str, json: Value) -> Result<Entry, Fault> {
    let record: R = serde_json::from_value(json).map_err(|e| corrupt(R::KIND, &e))?;
    written(tenant, &record)
}

fn corrupt(key: &str, why: &serde_json::Error) -> Fault {
    Fault::Corrupt { key: key.into(), why: why.to_string() }
}
