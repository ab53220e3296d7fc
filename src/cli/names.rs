//! Whose and what the devices of a list are: for people, beside the ids that its documents hold.

use super::{Shown, client::Client};
use serde_json::{Value, json};

/// `user` and `name` for each row, of the device whose id stands in this field. For JSON nothing is asked.
pub(super) async fn beside(client: &Client, how: &Shown, rows: &[Value], field: &str) -> Vec<Value> {
    if how.json {
        return Vec::new();
    }
    let id = |row: &Value| row.get(field).and_then(Value::as_str).map(String::from);
    let devices = client.devices(rows.iter().filter_map(id).collect()).await;
    let of = |row: &Value| {
        let device = id(row).and_then(|id| devices.get(&id));
        let name = device.and_then(|d| [&d.name, &d.model, &d.serial].into_iter().flatten().next());
        json!({"user": device.and_then(|d| d.user.as_ref()), "name": name})
    };
    rows.iter().map(of).collect()
}
