//! Administrators and their tokens.

use super::{
    call::Call,
    route::{Empty, Page, Route, delete, get, post},
    views::{ApprovalView, At},
};
use crate::{
    error::{Error, Result},
    fleet::{
        admins::{self, AdminView as Admin, TokenView as Token},
        wipe::approvals::{self, Subject},
    },
    store::Tx,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/admins", "All administrators", list).paged(),
        post("/api/v1/admins", "Make one, who counts after the newcomers' wait", add),
        delete("/api/v1/admins/{id}", "Ask a second person to remove one, by id or name", remove),
        get("/api/v1/tokens", "All tokens, without their secrets", tokens).paged(),
        post("/api/v1/tokens", "Make one; its secret is shown this once", create_token),
        delete("/api/v1/tokens/{id}", "End one at once", revoke_token),
    ]
}

/// An administrator.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Admin")]
struct AdminView {
    id: String,
    name: String,
    created: At,
    /// When wipes and approvals of this person count.
    counts_from: At,
}

impl From<Admin> for AdminView {
    fn from(admin: Admin) -> Self {
        let (created, counts_from) = (At(admin.created), At(admin.counts_from));
        Self { id: admin.id, name: admin.name, created, counts_from }
    }
}

fn list(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<Page<AdminView>> {
    Ok(Page::whole(admins::list(tx)?.into_iter().map(AdminView::from).collect()))
}

/// An administrator to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewAdmin {
    name: String,
}

fn add(tx: &mut Tx<'_>, call: &Call, body: NewAdmin) -> Result<AdminView> {
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

/// A token.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
struct TokenView {
    id: String,
    /// Whose.
    admin: String,
    created: At,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self { id: token.id.to_string(), admin: token.admin, created: At(token.created) }
    }
}

/// A token with its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NewToken")]
struct NewToken {
    id: String,
    admin: String,
    /// The secret: not shown again.
    token: String,
    created: At,
}

fn tokens(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<Page<TokenView>> {
    Ok(Page::whole(admins::list_tokens(tx)?.into_iter().map(TokenView::from).collect()))
}

/// Whose token to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// Id or name; the asker's own where nobody is named.
    admin: Option<String>,
}

fn create_token(tx: &mut Tx<'_>, call: &Call, body: Whose) -> Result<NewToken> {
    let (token, secret) = admins::create_token(tx, &call.actor, body.admin.as_deref())?;
    Ok(NewToken { id: token.id.to_string(), admin: token.admin, token: secret, created: At(token.created) })
}

/// What was ended.
#[derive(Debug, Serialize, JsonSchema)]
struct Ended {
    id: String,
}

fn revoke_token(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Ended> {
    let id = call.id("id", "token")?;
    admins::revoke_token(tx, &call.actor, id)?;
    Ok(Ended { id: id.to_string() })
}
