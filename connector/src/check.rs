//! `lanyard connector check`: each step of the way by itself, so that the one that fails is named. It writes nothing.

use crate::{
    clock,
    driver::{Driver, all},
    http::{self, HttpError},
    installation::{Installation, OnlineSettings},
    keeper,
    online::Online,
    server::{CallError, Server},
    verbs,
};
use ::http::Uri;
use lanyard_exchange::{
    cmdlet::{Cmdlet, Failure},
    cmdlets::{self, Waiting},
    rows,
};
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `name`, `proxy`, `tls`, `credential`, `role`, `cmdlet` or `server`.
    pub step: &'static str,
    /// Whether it went well.
    pub ok: bool,
    /// In words.
    pub detail: String,
}

const UNTRIED: &str = "not tried, since an earlier step failed";

struct Steps(Vec<Step>);

impl Steps {
    fn good(&mut self, step: &'static str, detail: impl Into<String>) {
        self.0.push(Step { step, ok: true, detail: detail.into() });
    }

    fn bad(&mut self, step: &'static str, detail: impl Into<String>) {
        self.0.push(Step { step, ok: false, detail: detail.into() });
    }

    /// Of a step that was tried.
    fn more(&mut self, step: &'static str, detail: &str) {
        self.0.iter_mut().filter(|done| done.step == step).for_each(|done| done.detail += detail);
    }

    fn is_good(&self) -> bool {
        self.0.iter().all(|step| step.ok)
    }

    /// Those up to here that were not tried.
    fn rest(&mut self, steps: &[&'static str]) {
        for step in steps {
            if self.0.iter().all(|done| done.step != *step) {
                self.bad(step, UNTRIED);
            }
        }
    }
}

/// Tries all of it.
pub async fn check(installation: &Installation) -> Vec<Step> {
    let mut steps = Steps(Vec::new());
    let mut org = None;
    match &installation.settings.online {
        Some(online) => {
            org = Some(online.tenant);
            if let Err(error) = reach(installation, online, &mut steps).await {
                steps.bad("name", error);
            }
        }
        None => steps.good("name", "the PowerShell child looks it up"),
    }
    if installation.settings.online.is_none() {
        steps.good("proxy", "none is used on the way to an Exchange on premises");
        steps.good("tls", "Kerberos encrypts what the PowerShell session says");
    }
    steps.rest(&["name", "proxy", "tls"]);
    if steps.is_good() {
        org = org.or(exchange(installation, &mut steps).await);
    }
    steps.rest(&["credential", "role", "cmdlet"]);
    server(installation, org, &mut steps).await;
    steps.0
}

/// As far as Exchange's handshake, and that of its login.
async fn reach(installation: &Installation, online: &OnlineSettings, steps: &mut Steps) -> Result<(), String> {
    let proxied = installation.settings.proxy.as_ref();
    let client = match installation.exchange_client() {
        Ok(client) => client,
        Err(error) => return failed(error, proxied.is_some(), steps),
    };
    for address in [&online.login, &online.exchange] {
        let uri: Uri = address.parse().map_err(|_| format!("{address}: no address"))?;
        let (host, port) = http::place(&uri).map_err(|error| error.to_string())?;
        if let Err(error) = client.stream(&host, port).await {
            failed(error, proxied.is_some(), steps)?;
            steps.more("tls", &client.unread());
            return Ok(());
        }
    }
    steps.good("name", "found");
    match proxied {
        Some(proxy) => steps.good("proxy", format!("{} lets it through", proxy.url)),
        None => steps.good("proxy", "none is set"),
    }
    steps.good("tls", format!("certificate and name are good{}", client.unread()));
    Ok(())
}

/// The step that it failed at, and those before it.
fn failed(error: HttpError, proxied: bool, steps: &mut Steps) -> Result<(), String> {
    let name = if proxied { "the proxy's business" } else { "found" };
    let proxy = if proxied { "it lets it through" } else { "none is set" };
    match &error {
        HttpError::Name { .. } | HttpError::Address(_) => steps.bad("name", error.to_string()),
        HttpError::Roots(_) => steps.bad("tls", error.to_string()),
        HttpError::Proxy(_) => {
            steps.good("name", name);
            steps.bad("proxy", error.to_string());
        }
        _ => {
            steps.good("name", name);
            steps.good("proxy", proxy);
            steps.bad("tls", error.to_string());
        }
    }
    Ok(())
}

/// Login, role, cmdlets. What Exchange calls itself.
async fn exchange(installation: &Installation, steps: &mut Steps) -> Option<Uuid> {
    if installation.settings.online.is_some() {
        match online(installation) {
            Ok(online) => match online.token(true).await {
                Ok(_) => steps.good("credential", "the login takes the application's certificate"),
                Err(failure) => {
                    steps.bad("credential", failure.to_string());
                    return None;
                }
            },
            Err(error) => {
                steps.bad("credential", error);
                return None;
            }
        }
    }
    let driver = match verbs::driver(installation) {
        Ok(driver) => driver,
        Err(error) => {
            steps.bad("credential", error);
            return None;
        }
    };
    let org = tried(&*driver, steps).await;
    driver.end().await;
    org
}

async fn tried(driver: &dyn Driver, steps: &mut Steps) -> Option<Uuid> {
    let org = whose(driver, steps).await?;
    for cmdlet in [
        cmdlets::default_access(),
        cmdlets::mailboxes_since(&moment()),
        cmdlets::devices_that_wait(Waiting::Quarantined),
    ] {
        if let Err(failure) = all(driver, &cmdlet).await {
            let denied = matches!(failure, Failure::Forbidden(_));
            if denied {
                steps.0.retain(|step| step.step != "role");
                steps.bad("role", named(&cmdlet, &failure));
            } else {
                steps.bad("cmdlet", named(&cmdlet, &failure));
            }
            return Some(org);
        }
    }
    steps.good("cmdlet", "organisation, lists and mobile devices can be read");
    Some(org)
}

fn online(installation: &Installation) -> Result<Arc<Online>, String> {
    let client = installation.exchange_client().map_err(|error| error.to_string())?;
    verbs::online(installation, Arc::new(client)).map(Arc::new)
}

/// The first cmdlet says whether the account is let in, and may.
async fn whose(driver: &dyn Driver, steps: &mut Steps) -> Option<Uuid> {
    let first = cmdlets::organisation();
    match all(driver, &first).await {
        Ok(found) => {
            if steps.0.iter().all(|step| step.step != "credential") {
                steps.good("credential", "the login is taken");
            }
            let Some((org, _)) = found.first().and_then(rows::organisation) else {
                steps.bad("role", "Exchange does not say which organisation it is");
                return None;
            };
            steps.good("role", "the account may call what is needed, as far as that was tried");
            Some(org)
        }
        Err(failure @ (Failure::Login(_) | Failure::Busy { .. } | Failure::Unread(_))) => {
            steps.0.retain(|step| step.step != "credential");
            steps.bad("credential", failure.to_string());
            None
        }
        Err(failure) => {
            if steps.0.iter().all(|step| step.step != "credential") {
                steps.good("credential", "the login is taken");
            }
            steps.bad("role", named(&first, &failure));
            None
        }
    }
}

fn named(cmdlet: &Cmdlet, failure: &Failure) -> String {
    format!("{}: {failure}", cmdlet.name)
}

/// An hour ago, as filters have it: little is read.
fn moment() -> String {
    let form = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    (clock::now() - time::Duration::hours(1)).format(&form).unwrap_or_default()
}

/// The server, by a hello.
async fn server(installation: &Installation, org: Option<Uuid>, steps: &mut Steps) {
    let client = match installation.server_client() {
        Ok(client) => client,
        Err(error) => return steps.bad("server", error),
    };
    let (settings, unread) = (&installation.settings, client.unread());
    let server = Server::new(&settings.server, client);
    // Without Exchange's word nothing is said of it: whether the certificate is taken shows all the same.
    let said = match org {
        Some(org) => server.hello(&keeper::hello(settings, org, true)).await.map(drop),
        None => server.lease(Some(0)).await.map(drop),
    };
    match said {
        Ok(()) | Err(CallError::Elsewhere(_)) => {
            steps.good("server", format!("{} takes this connector{unread}", settings.server))
        }
        Err(error) => steps.bad("server", format!("{error}{unread}")),
    }
}
