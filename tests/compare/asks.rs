//! All that can be asked of a program when the day is over: GET of every route of its documentation, with every id it knows and every
//! page, and every verb that reads.

use crate::house::House;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Items of a page: few, so that lists have several.
const PAGE: usize = 6;
/// What needs no token, and is not in the documentation.
const OPEN: [&str; 2] = ["/livez", "/readyz"];
const NOBODY: &str = "01932d5c-7b1e-7cc3-98c4-dc0c0c07398f";

/// See the module. The server is stopped at its end, for the verbs that open the store themselves.
pub(crate) async fn everything(house: &mut House) {
    routes(house).await;
    verbs(house).await;
    house.close().await;
    house.read(&["store", "check"]).await;
    house.read(&["store", "show", "default/stop/"]).await;
    house.read(&["store", "accept-loss", "--commit", "1"]).await;
}

async fn routes(house: &mut House) {
    let document = house.get("/api/openapi.json", "/api/openapi.json").await;
    let document: Value = serde_json::from_str(&document).unwrap();
    for path in OPEN {
        house.get(path, path).await;
    }
    house.get("none", "/api/v1/nothing").await;
    let rows: Vec<(String, Vec<String>)> = document["paths"].as_object().unwrap().iter().filter_map(row).collect();
    // The lists first: their items are what the other routes are asked for.
    let mut lists = BTreeMap::new();
    for (path, query) in rows.iter().filter(|(path, _)| !path.contains('{')) {
        let items = all_of(house, path, path, query).await;
        lists.insert(path.clone(), items);
    }
    for (path, query) in rows.iter().filter(|(path, _)| path.contains('{')) {
        let (list, rest) = path.split_once("/{").unwrap();
        let field = rest.split('}').next().unwrap();
        let known = lists.get(list).unwrap_or_else(|| panic!("the day knows no {field} for {path}"));
        let names = known.iter().map(|item| item[field].as_str().unwrap().to_owned()).chain([NOBODY.into()]);
        for name in names.collect::<Vec<_>>() {
            all_of(house, path, &path.replace(&format!("{{{field}}}"), &escaped(&name)), query).await;
        }
    }
    let ids: Vec<String> = lists["/api/v1/devices"].iter().map(|d| d["id"].as_str().unwrap().to_owned()).collect();
    for (path, query) in &rows {
        for name in query {
            let values = match name.as_str() {
                "after" | "limit" => continue,
                "device" => [ids.as_slice(), &[NOBODY.into()]].concat(),
                "expiring" => ["1d", "4000d", "soon"].map(String::from).to_vec(),
                "state" => ["retired", "blocked", "none"].map(String::from).to_vec(),
                "user" => ["ANN@example.org", "nobody"].map(String::from).to_vec(),
                "platform" => ["ios", "windows", "toaster"].map(String::from).to_vec(),
                "may_approve" => ["mine", NOBODY].map(String::from).to_vec(),
                "unread" | "removed" => ["true", "perhaps"].map(String::from).to_vec(),
                "approval" => vec![NOBODY.into()],
                "action" => ["wipe", "device.enrolled", "dance"].map(String::from).to_vec(),
                "actor" => ["local", "nobody"].map(String::from).to_vec(),
                "since" => ["1h", "2020-01-01T00:00:00Z", "soon"].map(String::from).to_vec(),
                "head" => vec![head(house, path).await, "0".repeat(64)],
                other => panic!("the day knows no value of the query {other} of {path}"),
            };
            for value in values {
                house.get(path, &format!("{path}?{name}={value}")).await;
            }
        }
    }
}

/// A route that is read: its path and what its query may hold.
fn row((path, methods): (&String, &Value)) -> Option<(String, Vec<String>)> {
    let parameters = methods.get("get")?["parameters"].as_array().cloned().unwrap_or_default();
    let query = parameters.iter().filter(|p| p["in"] == "query").map(|p| p["name"].as_str().unwrap().to_owned());
    Some((path.clone(), query.collect()))
}

/// What lies there: whole, and, if it comes in pages, each of them.
async fn all_of(house: &mut House, route: &str, path: &str, query: &[String]) -> Vec<Value> {
    let whole: Value = serde_json::from_str(&house.get(route, path).await).unwrap();
    let mut after = String::new();
    while query.iter().any(|name| name == "limit") {
        let page = house.get(route, &format!("{path}?limit={PAGE}{after}")).await;
        let page: Value = serde_json::from_str(&page).unwrap();
        let Some(next) = page.get("next").and_then(Value::as_str) else { break };
        after = format!("&after={}", escaped(next));
    }
    whole.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A head of the audit log as it stands.
async fn head(house: &mut House, path: &str) -> String {
    let verdict: Value = serde_json::from_str(&house.get(path, path).await).unwrap();
    verdict["heads"][0]["hash"].as_str().unwrap().to_owned()
}

fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Every verb that reads, as people read it and with `--json`.
async fn verbs(house: &mut House) {
    let devices = house.read(&["devices", "list"]).await;
    house.read(&["devices", "list", "--expiring", "4000d"]).await;
    house.read(&["devices", "list", "--platform", "macos", "--state", "enrolled"]).await;
    for id in ids(&devices) {
        house.read(&["devices", "show", &id]).await;
        house.read(&["commands", "list", "--device", &id]).await;
        house.read(&["audit", "list", "--device", &id]).await;
    }
    let commands = house.read(&["commands", "list"]).await;
    // One of each sort: the routes were asked for all.
    let mut sorts = BTreeSet::new();
    for command in commands.as_array().unwrap() {
        let sort = ["channel", "action", "scope", "state"].map(|field| command[field].to_string());
        if sorts.insert(sort) {
            house.read(&["commands", "show", command["id"].as_str().unwrap()]).await;
        }
    }
    let approvals = house.read(&["approvals", "list"]).await;
    for id in ids(&approvals) {
        house.read(&["approvals", "show", &id]).await;
        house.read(&["approvals", "wait", &id]).await;
    }
    for (noun, field) in [("policy", "name"), ("group", "name"), ("connector", "org")] {
        let list = house.read(&[noun, "list"]).await;
        // A program of before knows no connectors.
        for item in list.as_array().into_iter().flatten() {
            house.read(&[noun, "show", item[field].as_str().unwrap()]).await;
        }
    }
    for policy in ["baseline", "sales", "nothing"] {
        house.read(&["policy", "coverage", policy]).await;
    }
    for noun in ["devices", "commands", "approvals", "policy", "group", "connector"] {
        house.read(&[noun, "show", NOBODY]).await;
    }
    let zeros = "0".repeat(64);
    let others: [&[&str]; 12] = [
        &["status"],
        &["admins", "list"],
        &["token", "list"],
        &["settings", "list"],
        &["mail", "check"],
        &["mail", "rules", "show"],
        &["stop", "status"],
        &["apple", "push-cert", "show"],
        &["audit", "list"],
        &["audit", "verify"],
        &["audit", "verify", "--head", &zeros],
        &["ca", "show"],
    ];
    for words in others {
        house.read(words).await;
    }
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}
