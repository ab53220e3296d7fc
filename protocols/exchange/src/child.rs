//! The lines between a connector and the PowerShell child that speaks to an Exchange on premises: one JSON object a line, the login first.

use crate::cmdlet::{Cmdlet, Failure, Row};
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// Longer lines are none.
pub const LONGEST: usize = 64 * 1024 * 1024;
const WORDS: usize = 1000;

/// The first line: whom the child logs in as, and where. It stands in no argument and in no variable.
pub fn login(host: &str, user: &str, password: &str) -> String {
    json!({ "host": host, "user": user, "password": password }).to_string()
}

/// A call. Lists are `{"add":[…],"remove":[…]}`, a switch that is given is `true`.
pub fn line(id: u64, cmdlet: &Cmdlet) -> String {
    json!({ "id": id, "cmdlet": cmdlet.name, "params": cmdlet.json(edit), "select": cmdlet.select }).to_string()
}

fn edit(add: &[String], remove: &[String]) -> Json {
    let lists = [("add", add), ("remove", remove)].into_iter().filter(|(_, ids)| !ids.is_empty());
    Json::Object(lists.map(|(name, ids)| (name.to_string(), json!(ids))).collect())
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    rows: Json,
    error: Option<Problem>,
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    category: String,
}

/// What the child answered to the call of this id.
pub fn answer(id: u64, line: &[u8]) -> Result<Vec<Row>, Failure> {
    let answer: Answer = serde_json::from_slice(line).map_err(|error| Failure::Unread(error.to_string()))?;
    if answer.id != id {
        return Err(Failure::Unread("an answer to another call".into()));
    }
    if !answer.ok {
        return Err(failure(answer.error.unwrap_or_default()));
    }
    // One object comes by itself, none as null.
    let rows = match answer.rows {
        Json::Null => Vec::new(),
        Json::Array(rows) => rows,
        one => vec![one],
    };
    let row = |value| match value {
        Json::Object(row) => Ok(row),
        _ => Err(Failure::Unread("a row that is no object".into())),
    };
    rows.into_iter().map(row).collect()
}

fn failure(problem: Problem) -> Failure {
    let text: String = problem.message.chars().filter(|c| !c.is_control()).take(WORDS).collect();
    let has = |word: &str| problem.kind.contains(word) || problem.category.contains(word) || text.contains(word);
    if has("ManagementObjectNotFoundException") || has("ObjectNotFound") && !has("CommandNotFound") {
        Failure::NotFound(text)
    } else if has("Access is denied") || has("PSRemotingTransportException") && has("AccessDenied") {
        Failure::Login(text)
    } else if has("CommandNotFound") || has("is not recognized as the name") || has("CmdletAccessDenied") {
        Failure::Forbidden(text)
    } else if has("PSRemotingTransportException") || has("OverBudget") || has("OpenError") || has("OpenTimeout") {
        Failure::Busy { text, after: None }
    } else {
        Failure::Refused(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdlets::{self, Lists};
    use crate::partnership::Key;
    use uuid::Uuid;

    #[test]
    fn a_call_is_one_line_whatever_is_in_it() {
        let key =
            Key { guid: Uuid::from_u128(5), device_id: "a\n'; Remove-Mailbox".into(), mailbox: Uuid::from_u128(6) };
        let line = line(7, &cmdlets::set_lists(&key, Lists::Allow));
        assert!(!line.contains('\n'));
        let said: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(said["params"]["ActiveSyncAllowedDeviceIDs"], json!({ "add": [key.device_id] }));
        assert!(!login("ex1", "D\\svc", "a\"b\n").contains('\n'));
    }

    #[test]
    fn answers_are_read_in_each_form_of_convert_to_json() {
        for (what, line, want) in [
            ("several", r#"{"id":1,"ok":true,"rows":[{},{}]}"#, Ok(2)),
            ("one by itself", r#"{"id":1,"ok":true,"rows":{"A":1}}"#, Ok(1)),
            ("none", r#"{"id":1,"ok":true,"rows":null}"#, Ok(0)),
            ("without rows", r#"{"id":1,"ok":true}"#, Ok(0)),
            ("another's", r#"{"id":2,"ok":true}"#, Err("Unread")),
            ("noise", "WARNING: x", Err("Unread")),
            ("a row that is none", r#"{"id":1,"ok":true,"rows":[3]}"#, Err("Unread")),
            ("gone", r#"{"id":1,"ok":false,"error":{"type":"X.ManagementObjectNotFoundException"}}"#, Err("NotFound")),
            ("no login", r#"{"id":1,"error":{"message":"… Access is denied."}}"#, Err("Login")),
            (
                "no role",
                r#"{"id":1,"error":{"category":"ObjectNotFound","type":"CommandNotFoundException"}}"#,
                Err("Forbidden"),
            ),
            ("away", r#"{"id":1,"error":{"type":"X.PSRemotingTransportException"}}"#, Err("Busy")),
            ("wrong", r#"{"id":1,"error":{"type":"X.ParameterBindingException","message":"no"}}"#, Err("Refused")),
            ("nothing said", r#"{"id":1}"#, Err("Refused")),
        ] {
            let got = answer(1, line.as_bytes());
            match want {
                Ok(rows) => assert_eq!(got.unwrap().len(), rows, "{what}"),
                Err(kind) => assert!(format!("{:?}", got.unwrap_err()).starts_with(kind), "{what}"),
            }
        }
    }
}
