//! Administrators and their tokens, and the time for which newcomers count for nothing in wipes and approvals.

use crate::{
    clock::{Steady, Timestamp},
    error::{Error, Result},
    fleet::{
        actor::{self, Actor},
        audit::{self, By, Event},
        notices::{self, News},
        registry::lookup,
        settings,
        terms::Jump,
    },
    ids::{TokenId, digest, hex, hexed},
    store::{Belief, Found, Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// The administrator of the server's own machine: one person per store, a token of its own on each node.
pub const LOCAL: &str = "local";

/// A person who administers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Admin {
    /// `local`, or an id.
    pub id: String,
    /// The name people know; one of a kind.
    pub name: String,
    /// When made.
    pub created: Timestamp,
    /// By whom (an admin id).
    pub made_by: String,
    /// When the wait began; `None` for those who never had to wait.
    since: Option<Steady>,
    removed: Option<Timestamp>,
    /// Who stood behind the maker then ([`Actor::sponsors`]): the maker's word may have been another's.
    #[serde(default)]
    behind: BTreeSet<String>,
}

/// A bearer token, kept as its digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Token {
    #[serde(with = "hexed")]
    digest: String,
    /// Its public id.
    pub id: TokenId,
    /// Whose.
    pub admin: String,
    /// When made.
    pub created: Timestamp,
    /// By whom (an admin id); nobody for a node's own.
    #[serde(default)]
    made_by: Option<String>,
    since: Option<Steady>,
    revoked: Option<Timestamp>,
    /// Good from loopback of this node only.
    pub node: Option<String>,
    /// Who stood behind the maker then, as for a person.
    #[serde(default)]
    behind: BTreeSet<String>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<Admin>(), Kind::of::<Token>()];

impl Record for Admin {
    const KIND: &'static str = "admin";
    fn key(&self) -> String {
        self.id.clone()
    }
}
impl Record for Token {
    const KIND: &'static str = "token";
    fn key(&self) -> String {
        self.digest.clone()
    }
}
/// An administrator as the API shows one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdminView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// When made.
    pub created: Timestamp,
    /// When the newcomer's wait ends or ended.
    pub counts_from: Timestamp,
}

/// A token as the API shows it, without the secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenView {
    /// Id.
    pub id: TokenId,
    /// Whose (the name).
    pub admin: String,
    /// When made.
    pub created: Timestamp,
}

/// Looks at the clock: to be called at start and every minute, so that a jump is seen, told, and believed or doubted.
pub fn look_at_clock(tx: &mut Tx<'_>) -> Result<()> {
    let moment = tx.moment();
    let Some(belief) = tx.get::<Belief>("")? else { return Ok(tx.put(&Belief::begin(moment))?) };
    let (looked, found) = belief.look(moment);
    if looked != belief {
        tx.put(&looked)?;
    }
    let jump = match found {
        Found::Well => return Ok(()),
        Found::Moved(by) => Jump::Moved(by),
        Found::Doubted(by) => Jump::Doubted(by),
        Found::Believed(by) => Jump::Believed(by),
    };
    tx.log(move || {
        tracing::warn!(seconds = jump.by() / 1000, outcome = jump.outcome(), "the clock jumped: {}", jump.meaning());
    });
    notices::tell(tx, News::ClockJumped(jump))?;
    audit::note(tx, By::System, Event::ClockJumped { jump })
}

/// The administrator of the server's own machine says that the clock is right though it jumped.
pub fn accept_clock(tx: &mut Tx<'_>, actor: &Actor) -> Result<()> {
    if actor.id != LOCAL {
        return Err(Error::forbidden(
            "local_only",
            "only local, on the server's own machine, can say that its clock is right",
        ));
    }
    let belief = Belief::begin(tx.moment());
    tx.put(&belief)?;
    let wall = tx.moment().wall;
    audit::note(tx, actor, Event::ClockAccepted { wall })
}

fn waiting_until(tx: &mut Tx<'_>, since: Option<Steady>) -> Result<Option<Timestamp>> {
    let Some(since) = since else { return Ok(None) };
    let wait = settings::newcomer(tx)?;
    let left = actor::left_to_wait(tx, since, wait);
    Ok((!left.is_zero()).then(|| tx.now().plus(left)))
}

fn begin_wait(tx: &mut Tx<'_>) -> Result<Option<Steady>> {
    if actor::first_hour(tx)? { Ok(None) } else { Ok(Some(tx.steady())) }
}

/// Makes sure that `local` exists and that this node's token opens it. To be called at each start.
pub fn ensure_local(tx: &mut Tx<'_>, secret: &str) -> Result<()> {
    look_at_clock(tx)?;
    let (now, node) = (tx.now(), tx.node().to_string());
    if tx.get::<Admin>(LOCAL)?.is_none() {
        let made_by = LOCAL.to_string();
        let (id, name, behind) = (LOCAL.into(), LOCAL.into(), BTreeSet::new());
        tx.put(&Admin { id, name, created: now, made_by, since: None, removed: None, behind })?;
        audit::note(tx, By::System, Event::AdminMade { admin: LOCAL.into(), name: String::new() })?;
    }
    let digest = digest(secret.as_bytes());
    match tx.get::<Token>(&digest)? {
        Some(token) if token.node.as_ref() == Some(&node) => {}
        Some(_) => tx.log(|| {
            tracing::warn!(
                "local.token is another node's and opens nothing here: node.id was deleted or copied; stop, delete local.token, and start"
            );
        }),
        None => {
            let id = tx.new_id();
            tx.put(&Token {
                digest,
                id,
                admin: LOCAL.into(),
                created: now,
                made_by: None,
                since: None,
                revoked: None,
                node: Some(node),
                behind: BTreeSet::new(),
            })?;
        }
    }
    Ok(())
}

/// The server is ready: the first hour begins, where it has not. To be called at each start once the ports are open, since a start that
/// fails shall take nothing of it. Answers as [`second_until`].
pub fn begin_first_hour(tx: &mut Tx<'_>) -> Result<Option<Timestamp>> {
    actor::begin(tx)?;
    second_until(tx)
}

/// Until when a second administrator who is made now counts at once; `None`: there is one with a token, or the first hour is over.
pub fn second_until(tx: &mut Tx<'_>) -> Result<Option<Timestamp>> {
    let Some(left) = actor::left_of_first_hour(tx)? else { return Ok(None) };
    let until = tx.now().plus(left).0;
    // To the minute: a clock that is corrected by a hair makes no other moment of it.
    Ok(list_tokens(tx)?.is_empty().then_some(Timestamp(until - until.rem_euclid(60_000))))
}

/// Who a bearer token belongs to; `None`: nobody. `loopback` says whether the request came from this machine.
pub fn authenticate(tx: &mut Tx<'_>, secret: &str, loopback: bool) -> Result<Option<Actor>> {
    let Some(token) = tx.get::<Token>(digest(secret.as_bytes()))? else { return Ok(None) };
    let here = token.node.as_deref().is_none_or(|node| loopback && node == tx.node());
    if token.revoked.is_some() || !here {
        return Ok(None);
    }
    let Some(admin) = tx.get::<Admin>(&token.admin)?.filter(|a| a.removed.is_none()) else { return Ok(None) };
    let of_token = waiting_until(tx, token.since)?;
    let newcomer_until = waiting_until(tx, admin.since)?.max(of_token);
    let mut sponsors = BTreeSet::new();
    let mut makers: Vec<String> = Vec::new();
    if of_token.is_some() {
        makers.extend(token.made_by.into_iter().chain(token.behind));
    }
    makers.extend(makers_of_newcomer(tx, &admin)?);
    while let Some(maker) = makers.pop() {
        if sponsors.insert(maker.clone())
            && let Some(admin) = tx.get::<Admin>(&maker)?
        {
            makers.extend(makers_of_newcomer(tx, &admin)?);
        }
    }
    Ok(Some(Actor { id: admin.id, name: admin.name, token: token.id.to_string(), newcomer_until, sponsors }))
}

/// Who made this person, and who stood behind that, as long as that is within the newcomers' wait.
fn makers_of_newcomer(tx: &mut Tx<'_>, admin: &Admin) -> Result<Vec<String>> {
    if waiting_until(tx, admin.since)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(admin.behind.iter().chain([&admin.made_by]).cloned().collect())
}

/// Makes an administrator, who counts after the newcomers' wait.
pub fn add(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<AdminView> {
    let name = name.trim();
    if name.is_empty() || name.len() > 200 || actor::has_hidden(name) {
        return Err(Error::invalid(
            "name",
            "1 to 200 characters, none that cannot be seen (control characters, marks of direction)",
        ));
    }
    if let Some(same) = all(tx)?.into_iter().find(|a| a.name == name) {
        return Err(Error::refused("admin_exists", format!("there is an administrator {name:?} (id {})", same.id)));
    }
    let since = begin_wait(tx)?;
    let id = tx.new_id::<TokenId>().to_string();
    let (made_by, behind) = (actor.id.clone(), actor.sponsors.clone());
    let admin = Admin { id, name: name.into(), created: tx.now(), made_by, since, removed: None, behind };
    tx.put(&admin)?;
    audit::note(tx, actor, Event::AdminMade { admin: admin.id.clone(), name: name.into() })?;
    view(tx, &admin)
}

fn view(tx: &mut Tx<'_>, admin: &Admin) -> Result<AdminView> {
    let wait = if admin.since.is_some() { settings::newcomer(tx)? } else { Duration::ZERO };
    let counts_from = waiting_until(tx, admin.since)?.unwrap_or(admin.created.plus(wait));
    Ok(AdminView { id: admin.id.clone(), name: admin.name.clone(), created: admin.created, counts_from })
}

/// All who are not removed.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Admin>> {
    Ok(tx.all::<Admin>("")?.into_iter().filter(|a| a.removed.is_none()).collect())
}

/// All, as the API shows them.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<AdminView>> {
    all(tx)?.iter().map(|a| view(tx, a)).collect()
}

/// All who have a token, each from when on they and one of their tokens count: nobody decides anything without one.
pub fn with_token(tx: &mut Tx<'_>) -> Result<Vec<AdminView>> {
    let tokens: Vec<Token> = tx.all::<Token>("")?.into_iter().filter(|token| token.revoked.is_none()).collect();
    let mut found = Vec::new();
    for person in list(tx)? {
        let mut from = None::<Timestamp>;
        for token in tokens.iter().filter(|token| token.admin == person.id) {
            let counts = waiting_until(tx, token.since)?.unwrap_or(person.counts_from);
            from = Some(from.map_or(counts, |from| from.min(counts)));
        }
        found.extend(from.map(|from| AdminView { counts_from: person.counts_from.max(from), ..person }));
    }
    Ok(found)
}

/// The administrator of this id, or who alone has this name or an id that begins so: as with devices, nobody's name stands before
/// another's id.
pub fn find(tx: &mut Tx<'_>, who: &str) -> Result<Admin> {
    let people = all(tx)?;
    if let Some(one) = people.iter().find(|a| a.id == who) {
        return Ok(one.clone());
    }
    let shown = lookup::as_shown(who);
    let (begins, low) = (lookup::is_beginning(shown), shown.to_ascii_lowercase());
    let mut found = people.into_iter().filter(|a| a.name == who || begins && a.id.starts_with(&low));
    let one = found.next().ok_or_else(|| Error::not_found("administrator", who))?;
    match found.next() {
        None => Ok(one),
        Some(other) => Err(lookup::several_begin_so(who, &[one.id, other.id])),
    }
}

/// The administrator of this id or name, one who was removed too: what they did is still told. Who is there goes before.
pub fn ever(tx: &mut Tx<'_>, who: &str) -> Result<Option<Admin>> {
    let mut named: Vec<Admin> = tx.all::<Admin>("")?.into_iter().filter(|a| a.id == who || a.name == who).collect();
    named.sort_by_key(|admin| admin.removed.is_some());
    Ok(named.into_iter().next())
}

/// Removes an administrator. The second person's approval is the caller's to have.
pub fn remove(tx: &mut Tx<'_>, actor: &str, id: &str) -> Result<()> {
    if id == LOCAL {
        return Err(Error::refused("local_stays", "local is the server's own machine and stays"));
    }
    let mut admin = find(tx, id)?;
    admin.removed = Some(tx.now());
    tx.put(&admin)?;
    audit::note(tx, By::Admin(actor.into()), Event::AdminRemoved { admin: admin.id, name: admin.name })
}

/// Makes a token for an administrator (by id or name; the asker's own where none is named) and returns it with its secret.
pub fn create_token(tx: &mut Tx<'_>, actor: &Actor, admin: Option<&str>) -> Result<(TokenView, String)> {
    let admin = find(tx, admin.unwrap_or(&actor.id))?;
    if admin.id == LOCAL {
        return Err(Error::refused(
            "local_token",
            "local has its token in the data folder, and no other: name an administrator",
        ));
    }
    let secret = format!("lanyard_{}", hex(&tx.random::<32>()));
    let since = begin_wait(tx)?;
    let id = tx.new_id();
    let digest = digest(secret.as_bytes());
    let created = tx.now();
    let (made_by, behind) = (Some(actor.id.clone()), actor.sponsors.clone());
    tx.put(&Token { digest, id, admin: admin.id.clone(), created, made_by, since, revoked: None, node: None, behind })?;
    audit::note(tx, actor, Event::TokenMade { token: id, admin: admin.id })?;
    Ok((TokenView { id, admin: admin.name, created }, secret))
}

/// All tokens that open something, save the nodes' own of `local`.
pub fn list_tokens(tx: &mut Tx<'_>) -> Result<Vec<TokenView>> {
    let names: std::collections::BTreeMap<String, String> = all(tx)?.into_iter().map(|a| (a.id, a.name)).collect();
    let tokens = tx.all::<Token>("")?.into_iter().filter(|t| t.revoked.is_none() && t.node.is_none());
    Ok(tokens
        .filter_map(|t| Some(TokenView { id: t.id, admin: names.get(&t.admin)?.clone(), created: t.created }))
        .collect())
}

/// Ends a token at once. A newcomer ends their own alone: a thief shall not lock out those who could stop them.
pub fn revoke_token(tx: &mut Tx<'_>, actor: &Actor, id: TokenId) -> Result<()> {
    let token = tx.all::<Token>("")?.into_iter().find(|t| t.id == id && t.node.is_none());
    let mut token = token.ok_or_else(|| Error::not_found("token", id))?;
    if actor.id != token.admin {
        actor.must_count("end other people's tokens")?;
    }
    token.revoked = Some(tx.now());
    tx.put(&token)?;
    audit::note(tx, actor, Event::TokenRevoked { token: id })
}

/// The name of an administrator, removed ones too; the id itself for what is no person (`system`).
pub fn name_of(tx: &mut Tx<'_>, id: &str) -> Result<String> {
    Ok(tx.get::<Admin>(id)?.map_or_else(|| id.to_string(), |a| a.name))
}
