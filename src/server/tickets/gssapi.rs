//! Calls of GSSAPI, which wait for a KDC: on threads of their own, few at a time.

use super::principal;
use crate::clock;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use libgssapi::{
    context::{ClientCtx, CtxFlags},
    credential::{Cred, CredUsage},
    name::Name,
    oid::{GSS_MECH_KRB5, GSS_MECH_SPNEGO, GSS_NT_KRB5_PRINCIPAL, OidSet},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// So many calls wait for a KDC at a time.
const AT_ONCE: usize = 16;
/// So long a request waits for its ticket. The call itself goes on, and what it finds is kept.
const WAIT: Duration = Duration::from_secs(20);
/// A user's ticket is not used in its last minute: the mail server's clock is another.
const SPARE: Duration = Duration::from_secs(60);
/// Users whose tickets are kept.
const MOST: usize = 20_000;

/// What is kept between two requests.
pub(super) struct Kept {
    users: Mutex<BTreeMap<String, (Instant, Cred)>>,
    slots: Arc<Semaphore>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { users: Mutex::default(), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Kept {
    fn of(&self, user: &str) -> Option<Cred> {
        let users = self.users.lock().ok()?;
        users.get(user).filter(|(until, _)| clock::monotonic() < *until).map(|(_, ticket)| ticket.clone())
    }

    fn keep(&self, user: &str, ticket: &Cred) {
        let (Ok(left), Ok(mut users)) = (ticket.lifetime(), self.users.lock()) else { return };
        let now = clock::monotonic();
        if users.len() >= MOST {
            users.retain(|_, (until, _)| now < *until);
        }
        let until = now.checked_add(left.saturating_sub(SPARE));
        if let Some(until) = until.filter(|_| users.len() < MOST) {
            users.insert(user.into(), (until, ticket.clone()));
        }
    }

    /// What the KDC does not honour any more.
    fn forget(&self, user: &str) {
        if let Ok(mut users) = self.users.lock() {
            users.remove(user);
        }
    }
}

/// One token for one request.
pub(super) async fn negotiate(kept: &Arc<Kept>, spn: &str, user: &str) -> Result<HeaderValue, String> {
    let (state, spn, user) = (kept.clone(), spn.to_string(), user.to_string());
    let token = blocking(kept, move || token(&state, &spn, &user)).await?;
    let mut value =
        HeaderValue::try_from(format!("Negotiate {}", STANDARD.encode(token))).map_err(|e| e.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whose tickets are asked for with.
pub(super) async fn own(kept: &Arc<Kept>) -> Result<String, String> {
    blocking(kept, || name_of(&acquired()?)).await
}

async fn blocking<T: Send + 'static>(
    kept: &Kept,
    call: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let slots = kept.slots.clone();
    let called = async {
        let slot = slots.acquire_owned().await.map_err(|e| e.to_string())?;
        let call = move || {
            let _slot = slot;
            call()
        };
        spawn_blocking(call).await.map_err(|e| e.to_string())?
    };
    timeout(WAIT, called).await.unwrap_or_else(|_| Err("the KDC did not answer in time".into()))
}

fn token(kept: &Kept, spn: &str, user: &str) -> Result<Vec<u8>, String> {
    if let Some(known) = kept.of(user) {
        match proxied(&known, spn, user) {
            Ok(token) => return Ok(token),
            // Its service's key, or what is delegated, may have changed.
            Err(_) => kept.forget(user),
        }
    }
    let fresh = impersonated(user)?;
    let token = proxied(&fresh, spn, user)?;
    kept.keep(user, &fresh);
    Ok(token)
}

/// This server's own ticket. GSSAPI keeps it, and takes another from the keytab in time.
fn acquired() -> Result<Cred, String> {
    let mechanisms = mechanisms()?;
    Cred::acquire(None, None, CredUsage::Initiate, Some(&mechanisms))
        .map_err(|e| format!("no ticket of this server's own (KRB5_CLIENT_KTNAME): {e}"))
}

fn name_of(own: &Cred) -> Result<String, String> {
    let name = own.name().and_then(|name| name.display_name()).map_err(|e| format!("its own name: {e}"))?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// S4U2Self: a ticket of the user's for this server.
fn impersonated(user: &str) -> Result<Cred, String> {
    let own = acquired()?;
    let name = name_of(&own)?;
    let realm = name.rsplit_once('@').map(|(_, realm)| realm).ok_or_else(|| format!("{name:?} names no realm"))?;
    let principal = principal(user, realm)?;
    let named =
        Name::new(principal.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).map_err(|e| format!("{principal}: {e}"))?;
    own.impersonate(&named, None, CredUsage::Initiate, Some(&mechanisms()?))
        .map_err(|e| format!("no ticket in the name of {principal} (S4U2Self): {e}"))
}

/// S4U2Proxy: with it one for the mail server, and a token of it.
fn proxied(user_ticket: &Cred, spn: &str, user: &str) -> Result<Vec<u8>, String> {
    let target = Name::new(spn.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).map_err(|e| format!("{spn}: {e}"))?;
    let mut context = ClientCtx::new(Some(user_ticket.clone()), target, CtxFlags::empty(), Some(GSS_MECH_SPNEGO));
    let token = context
        .step(None, None)
        .map_err(|e| format!("no ticket for {spn} in the name of {user:?} (S4U2Proxy): {e}"))?;
    token.map(|token| token.to_vec()).ok_or_else(|| "GSSAPI gave no token".into())
}

fn mechanisms() -> Result<OidSet, String> {
    let mut all = OidSet::new();
    for mechanism in [GSS_MECH_KRB5, GSS_MECH_SPNEGO] {
        all.add(mechanism).map_err(|e| e.to_string())?;
    }
    Ok(all)
}
