//! Whether an operation can go out at all, before anything of it is written.

use super::op::is_user_uri;
use super::{Due, LoginStatus, NotSent, SyncType};
use crate::syncml::{GroupKind, Verb};

/// Longest LocURI that we send, in bytes; the session keeps it.
const MAX_URI: usize = 2_048;
/// Longest id of an operation, in bytes.
const MAX_ID: usize = 128;

pub(super) fn check(due: &Due, login: LoginStatus, sync: SyncType) -> Result<(), NotSent> {
    let ids = due.id().len() > MAX_ID || due.ops().iter().any(|op| op.id.len() > MAX_ID);
    if ids || due.ops().is_empty() || due.ops().iter().any(|op| op.items.is_empty()) {
        return Err(NotSent::BadUri);
    }
    if due.items().any(|item| item.uri.is_empty() || item.uri.starts_with('/') || item.uri.len() > MAX_URI) {
        return Err(NotSent::BadUri);
    }
    if due.is_for_user() {
        if !due.items().all(|item| is_user_uri(&item.uri)) {
            return Err(NotSent::MixedScope);
        }
        // Windows answers 500 or 507 otherwise.
        if login != LoginStatus::User || sync == SyncType::Device {
            return Err(NotSent::NoUser);
        }
    } else if sync == SyncType::User {
        return Err(NotSent::NoDevice);
    }
    match due {
        Due::Group { kind: GroupKind::Atomic, .. } => atomic(due),
        Due::Group { kind: GroupKind::Sequence, .. } | Due::One(_) => Ok(()),
    }
}

/// Windows: no Get in Atomic (500), no Add then Replace of one node.
fn atomic(due: &Due) -> Result<(), NotSent> {
    let mut added: Vec<&str> = Vec::new();
    for op in due.ops() {
        let uris = op.items.iter().map(|item| item.uri.as_str());
        match op.verb {
            Verb::Get => return Err(NotSent::Atomic),
            Verb::Add => added.extend(uris),
            Verb::Replace => {
                if uris.into_iter().any(|uri| added.iter().any(|known| known.eq_ignore_ascii_case(uri))) {
                    return Err(NotSent::Atomic);
                }
            }
            Verb::Delete | Verb::Exec => {}
        }
    }
    Ok(())
}
