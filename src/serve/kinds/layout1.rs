//! What the records of layout 1 (JSON) have become.

use crate::fleet::registry::lookup;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The records, by kind, that come of one of layout 1.
pub(super) fn rise(kind: &str, mut record: Value) -> Vec<(&'static str, Value)> {
    let Some(fields) = record.as_object_mut() else { return Vec::new() };
    match kind {
        // Sessions in the middle of a package begin anew; timers are made of their commands.
        "omadm-session" | "timer" => return Vec::new(),
        "counting" => return vec![("born", json!({"at": fields.get("born")}))],
        "approval" => copy(fields, "created", "asked"),
        "notice" => set(fields, "until", plus(fields.get("at"), 86_400_000)),
        "revocation" => {
            copy(fields, "at", "from");
            // Layout 1 did not keep it: such an entry stays on the list.
            set(fields, "not_after", json!(i64::MAX));
        }
        "name" => {
            let part = lookup::part(fields.get("name").and_then(Value::as_str).unwrap_or_default());
            set(fields, "part", json!(part));
        }
        "invitation-way" => {
            let digest: String =
                fields.get("digest").and_then(Value::as_str).unwrap_or_default().chars().take(32).collect();
            set(fields, "digest", json!(digest));
            return vec![("way", record)];
        }
        "command" => return command(record),
        "device" => return device(record),
        _ => {}
    }
    known(kind).map(|kind| vec![(kind, record)]).unwrap_or_default()
}

fn command(mut record: Value) -> Vec<(&'static str, Value)> {
    let mut risen = Vec::new();
    if let Some(fields) = record.as_object_mut() {
        copy(fields, "created", "asked");
        copy(fields, "finished", "ended");
        let act = act(fields);
        set(fields, "act", act);
        let open = ["held", "queued", "sent", "not_now"].iter().any(|s| fields.get("state") == Some(&json!(s)));
        let waits = fields.get("state") == Some(&json!("queued")) || fields.get("state") == Some(&json!("not_now"));
        let release = fields.get("release_at").filter(|_| fields.get("hold") == Some(&json!("delay")));
        let steady = [release, fields.get("wake_at").filter(|_| waits)].into_iter().flatten().filter_map(Value::as_i64);
        let id = fields.get("id").cloned().unwrap_or_default();
        let timers = [("steady", steady.min()), ("wall", fields.get("expires").and_then(Value::as_i64))];
        for (axis, at) in timers.into_iter().filter(|_| open) {
            if let Some(at) = at {
                risen.push(("timer", json!({"at": {axis: at}, "command": id})));
            }
        }
    }
    risen.push(("command", record));
    risen
}

/// Layout 1 kept what belongs to one act beside those of all others.
fn act(fields: &Map<String, Value>) -> Value {
    let of = |name: &str| fields.get(name).cloned().unwrap_or_default();
    match fields.get("action").and_then(Value::as_str) {
        Some("wipe") => json!({"wipe": {"scope": of("scope"), "pin": of("pin")}}),
        Some("lock") => json!({"lock": {"pin": of("pin")}}),
        Some("policy") => json!({"policy": {"parts": fields.get("parts").cloned().unwrap_or_else(|| json!([]))}}),
        _ => of("action"),
    }
}

fn device(mut record: Value) -> Vec<(&'static str, Value)> {
    let applied = record.as_object_mut().and_then(|fields| fields.remove("applied")).unwrap_or_default();
    for (channel, parts) in applied.as_object().into_iter().flatten() {
        if let Some(enrolment) = of_channel(&mut record, channel) {
            set(enrolment, "applied", in_place(parts));
        }
    }
    let of = |name: &str| record.get(name).cloned().unwrap_or_default();
    let part = lookup::part(record.get("user").and_then(Value::as_str).unwrap_or_default());
    // Of several devices of one user the newest one's word stands.
    let user = json!({"name": of("user"), "names": {}, "created": of("created")});
    let theirs = json!({"part": part, "device": of("id")});
    vec![("device", record), ("user", user), ("user-device", theirs)]
}

/// The enrolment that speaks for a channel: the last one that lives, or the last.
fn of_channel<'a>(device: &'a mut Value, channel: &str) -> Option<&'a mut Map<String, Value>> {
    let ended = |e: &Value| ["retired", "wiped", "revoked"].iter().any(|state| e["state"] == *state);
    let enrolments = device.get_mut("enrolments")?.as_array_mut()?;
    let fits = |e: &&mut Value| e["channel"] == channel;
    // Of equals the last counts.
    enrolments.iter_mut().filter(fits).max_by_key(|e| !ended(e))?.as_object_mut()
}

/// What of a policy is in place: outcome and text were two fields beside each other, the time a text.
fn in_place(parts: &Value) -> Value {
    let risen = parts.as_object().into_iter().flatten().map(|(id, part)| {
        let said = part.get("outcome").cloned().unwrap_or_default();
        let outcome = match (said.as_str(), part.get("text")) {
            (Some(name), Some(text)) => json!({name: text}),
            _ => said,
        };
        let at = part.get("at").and_then(Value::as_str).and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
        let at = at.map_or(0, OffsetDateTime::unix_timestamp);
        (id.clone(), json!({"hash": part.get("hash"), "outcome": outcome, "at": at}))
    });
    Value::Object(risen.collect())
}

fn set(fields: &mut Map<String, Value>, name: &str, value: Value) {
    fields.insert(name.into(), value);
}

fn copy(fields: &mut Map<String, Value>, from: &str, to: &str) {
    let value = fields.get(from).cloned().unwrap_or_default();
    set(fields, to, value);
}

fn plus(at: Option<&Value>, milliseconds: i64) -> Value {
    json!(at.and_then(Value::as_i64).unwrap_or(0).saturating_add(milliseconds))
}

/// Kinds that are as they were but for how they lie in the store.
fn known(kind: &str) -> Option<&'static str> {
    super::all().map(|known| known.name).find(|name| *name == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_channel_keeps_goes_to_the_enrolment_that_speaks_for_it() {
        let enrolment = |channel: &str, state: &str| json!({"channel": channel, "state": state});
        let part = json!({"hash": "ab", "outcome": "failed", "text": "no", "at": "1970-01-01T00:00:09.5Z"});
        let in_place = json!({"hash": "ab", "outcome": {"failed": "no"}, "at": 9});
        for (row, states, takes) in [
            ("alone", vec!["enrolled"], 0),
            ("the live one", vec!["enrolled", "revoked"], 0),
            ("the last", vec!["retired", "wiped"], 1),
        ] {
            let mut enrolments: Vec<Value> = states.iter().map(|state| enrolment("omadm", state)).collect();
            enrolments.push(enrolment("activesync", "enrolled"));
            let applied = json!({"omadm": {"settings": part}, "apple": {"settings": part}});
            let old = json!({"id": "a", "user": "Ann", "created": 5, "enrolments": enrolments, "applied": applied});
            let risen = rise("device", old);
            let [("device", device), ("user", user), ("user-device", theirs)] = &risen[..] else { panic!("{risen:?}") };
            assert_eq!(user, &json!({"name": "Ann", "names": {}, "created": 5}));
            assert_eq!(theirs, &json!({"part": "ann", "device": "a"}));
            for (at, after) in device["enrolments"].as_array().unwrap().iter().enumerate() {
                let want = if at == takes { json!({"settings": in_place}) } else { Value::Null };
                assert_eq!(after["applied"], want, "{row}: enrolment {at}");
            }
            assert_eq!(device.get("applied"), None);
        }
        let applied: crate::policy::Applied = serde_json::from_value(in_place).unwrap();
        assert_eq!(applied.outcome, crate::policy::Outcome::failed("no"));
    }

    #[test]
    fn what_belongs_to_one_act_goes_into_it() {
        for (old, new) in [
            (
                json!({"action": "wipe", "scope": "full", "pin": "00ff"}),
                json!({"wipe": {"scope": "full", "pin": "00ff"}}),
            ),
            (json!({"action": "lock", "scope": null, "pin": null}), json!({"lock": {"pin": null}})),
            (json!({"action": "policy", "parts": ["+settings ab"]}), json!({"policy": {"parts": ["+settings ab"]}})),
            (json!({"action": "policy"}), json!({"policy": {"parts": []}})),
            (json!({"action": "restart", "scope": null, "pin": null, "parts": []}), json!("restart")),
        ] {
            let [(kind, risen)] = &rise("command", old)[..] else { panic!("one record") };
            assert_eq!((*kind, &risen["act"]), ("command", &new));
            assert!(serde_json::from_value::<crate::fleet::life::Act>(new).is_ok());
        }
    }
}
