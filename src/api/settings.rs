//! Settings: what guards wipes, and what all nodes must agree on.

use super::{
    call::Call,
    route::{Empty, Page, Route, get, put},
    views::At,
};
use crate::{
    error::{Error, Result},
    fleet::settings::{self, Setting},
    http::client_cert_header::TrustedProxies,
    store::Tx,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/settings", "All settings", list).paged(),
        get("/api/v1/settings/{key}", "A setting", show),
        put("/api/v1/settings/{key}", "Set it; a loosened guard counts after the newcomers' wait", set),
    ]
}

/// A setting.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Setting")]
struct SettingView {
    key: String,
    /// What counts now.
    value: String,
    default: String,
    /// A loosened value that does not count yet.
    pending: Option<String>,
    /// When it will.
    counts_from: Option<At>,
}

impl From<Setting> for SettingView {
    fn from(setting: Setting) -> Self {
        let Setting { key, value, default, pending, counts_from } = setting;
        Self { key, value, default, pending, counts_from: counts_from.map(At) }
    }
}

fn list(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<Page<SettingView>> {
    Ok(Page::whole(settings::list(tx)?.into_iter().map(SettingView::from).collect()))
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<SettingView> {
    Ok(settings::show(tx, call.named("key")?)?.into())
}

/// A value to set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Value {
    value: String,
}

fn set(tx: &mut Tx<'_>, call: &Call, body: Value) -> Result<SettingView> {
    let set = settings::set(tx, &call.actor, call.named("key")?, &body.value)?;
    if call.named("key")? == "net.trusted_proxies" {
        // A server that cannot read the list does not start, and then nobody could set it right.
        TrustedProxies::parse(&body.value).map_err(|text| Error::invalid("value", text))?;
    }
    Ok(set.into())
}
