//! Settings: what guards wipes, and what all nodes must agree on.

use super::{
    call::Call,
    route::{Route, get, put},
};
use crate::{
    documents::{
        At, Empty, Page,
        settings::{SettingView, ValueBody},
    },
    error::{Error, Result},
    fleet::settings::{self, Setting},
    http::client_cert_header::TrustedProxies,
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/settings", "All settings", list).paged(),
        get("/api/v1/settings/{key}", "A setting", show),
        put("/api/v1/settings/{key}", "Set it; a loosened guard counts after the newcomers' wait", set),
    ]
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

fn set(tx: &mut Tx<'_>, call: &Call, body: ValueBody) -> Result<SettingView> {
    let set = settings::set(tx, &call.actor, call.named("key")?, &body.value)?;
    if call.named("key")? == "net.trusted_proxies" {
        // A server that cannot read the list does not start, and then nobody could set it right.
        TrustedProxies::parse(&body.value).map_err(|text| Error::invalid("value", text))?;
    }
    Ok(set.into())
}
