//! Administrators and their tokens.

use super::{
    call::Call,
    route::{Route, delete, get, post},
};
use crate::{
    documents::{
        At, Empty, Page,
        admins::{AdminView, EndedView, NewAdminBody, NewTokenView, TokenView, WhoseBody},
        breaker::ApprovalView,
    },
    error::{Error, Result},
    fleet::{
        admins::{self, AdminView as Admin, TokenView as Token},
        registry::lookup,
        wipe::approvals::{self, Approval, Subject},
    },
    ids::TokenId,
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/admins", "All administrators", list).paged().query(&[(
            "may_approve",
            "only those who may approve this now: an approval's id, or `mine`, what the asker asks for",
        )]),
        post("/api/v1/admins", "Make one, who counts after the newcomers' wait", add),
        delete("/api/v1/admins/{id}", "Ask a second person to remove one, by id or name", remove),
        get("/api/v1/tokens", "All tokens, without their secrets", tokens).paged(),
        post("/api/v1/tokens", "Make one; its secret is shown this once", create_token),
        delete("/api/v1/tokens/{id}", "End one at once", revoke_token),
    ]
}

impl From<Admin> for AdminView {
    fn from(admin: Admin) -> Self {
        let (created, counts_from) = (At(admin.created), At(admin.counts_from));
        Self { id: admin.id, name: admin.name, created, counts_from }
    }
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<AdminView>> {
    let now = tx.now();
    let people = match call.query.get("may_approve").map(String::as_str) {
        None => admins::list(tx)?,
        Some("mine") => approvals::may_decide(&admins::with_token(tx)?, now, &call.actor.id, &call.actor.sponsors),
        Some(id) => {
            let id = lookup::id::<Approval, _>(tx, "approval", id)?;
            let approval = approvals::find(tx, id)?;
            approvals::may_decide(&admins::with_token(tx)?, now, &approval.asked_by, &approval.sponsors)
        }
    };
    Ok(Page::whole(people.into_iter().map(AdminView::from).collect()))
}

fn add(tx: &mut Tx<'_>, call: &Call, body: NewAdminBody) -> Result<AdminView> {
    Ok(admins::add(tx, &call.actor, &body.name)?.into())
}

fn remove(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ApprovalView> {
    let admin = admins::find(tx, call.named("id")?)?;
    if admin.id == admins::LOCAL {
        return Err(Error::refused("local_stays", "local is the server's own machine and stays"));
    }
    let detail = format!("remove the administrator {}", admin.name);
    let approval = approvals::ask_once(tx, &call.actor, Subject::AdminRemove(admin.id), &detail)?;
    ApprovalView::of(tx, &approval)
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self { id: token.id.to_string(), admin: token.admin, created: At(token.created) }
    }
}

fn tokens(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<Page<TokenView>> {
    Ok(Page::whole(admins::list_tokens(tx)?.into_iter().map(TokenView::from).collect()))
}

fn create_token(tx: &mut Tx<'_>, call: &Call, body: WhoseBody) -> Result<NewTokenView> {
    let (token, secret) = admins::create_token(tx, &call.actor, body.admin.as_deref())?;
    Ok(NewTokenView { id: token.id.to_string(), admin: token.admin, token: secret, created: At(token.created) })
}

fn revoke_token(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<EndedView> {
    let id = token_of(tx, call.named("id")?)?;
    admins::revoke_token(tx, &call.actor, id)?;
    Ok(EndedView { id: id.to_string() })
}

/// Tokens lie under their digests: which begins so is found among all.
fn token_of(tx: &mut Tx<'_>, given: &str) -> Result<TokenId> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let all = admins::list_tokens(tx)?.into_iter().map(|token| token.id.to_string());
    let shown = lookup::as_shown(given);
    let begins = lookup::is_beginning(shown);
    let found: Vec<String> = all.filter(|id| begins && id.starts_with(&shown.to_ascii_lowercase())).collect();
    match found.as_slice() {
        [one] => one.parse().map_err(|_| Error::not_found("token", given)),
        [] => Err(Error::not_found("token", given)),
        several => Err(lookup::several_begin_so(given, several)),
    }
}
