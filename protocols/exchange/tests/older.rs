//! An older connector or an older server goes on: what it does not say counts as not told, and what it does not know is left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use lanyard_exchange::calls::{Access, Batch, Capability, End, Hello, Order, Outcome, Results, Work};
use serde_json::{Value, json};
use uuid::Uuid;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_an_older_connector_says_is_read() {
    let id = Uuid::from_u128(1);
    let hello: Hello = read(json!({
        "instance": id, "org": id, "kind": "online", "version": "0.1.0", "protocols": [1], "capabilities": ["account_only"],
    }));
    assert!(!hello.capabilities.contains(&Capability::Settings), "it is asked for no policy and no rules");
    let end: End =
        read(json!({ "epoch": 1, "kind": "full", "began": "2026-12-01T00:00:00Z", "batches": 0, "complete": true }));
    assert_eq!((end.sent, end.organisation), (None, None));
    let results: Results = read(json!({ "epoch": 1, "results": [{ "id": id, "outcome": "done" }] }));
    assert_eq!(results.results[0].organisation, None);
    let batch: Batch = read(json!({
        "epoch": 1, "kind": "delta", "began": "2026-12-01T00:00:00Z", "sent": "2026-12-01T00:00:00Z",
        "rows": [{ "guid": id, "device_id": "ApplF9", "mailbox": id, "address": "ann@example.org" }],
    }));
    assert_eq!(batch.rows[0].policy, None);
}

#[test]
fn what_a_newer_one_says_is_left_alone() {
    let id = Uuid::from_u128(1);
    let hello: Hello = read(json!({
        "instance": id, "org": id, "kind": "online", "version": "9", "protocols": [1, 2], "capabilities": ["settings", "later"],
    }));
    assert_eq!(hello.capabilities, [Capability::Settings, Capability::Other("later".into())]);
    // An order that is not known keeps the others from nothing: each is read by itself.
    assert!(serde_json::from_value::<Work>(json!({ "seq": 1, "id": id, "op": "later", "args": {} })).is_err());
    let outcome: Outcome = read(json!({
        "id": id, "outcome": "done", "organisation": { "default": "Sometimes", "rules": [{ "characteristic": "Colour", "query": "red", "level": "Later" }] },
    }));
    assert_eq!(serde_json::to_value(&outcome).unwrap()["organisation"]["default"], "Sometimes");
}

#[test]
fn what_is_not_said_of_an_organisation_is_not_written_to_the_wire() {
    let work = Work { seq: 1, id: Uuid::from_u128(1), order: Order::Access(Access::default()), deadline: None };
    let said = serde_json::to_value(&work).unwrap();
    assert_eq!((&said["op"], &said["args"]), (&json!("access"), &json!({ "rules": [], "without": [] })));
    assert_eq!(read::<Work>(said), work);
}
