//! Which enrolment asks: by its certificate, which belongs to the first DeviceId that shows it; or by a login that the mail server
//! took, which is weaker. A DeviceId is a claim, and counts only together with its user.

use super::{login::User, refusal::Refusal};
use crate::{
    channel::identity,
    error::{Denial, Judged, Result},
    fleet::{
        audit::{self, Proof},
        enrol::{self},
        keeper,
        life::{
            Action, Channel, Claim, Command, Contact, Device, Enrolment, EnrolmentState, Event, Life, MAIL_AGENT,
            MAIL_TYPE, Managed, Ownership, Platform,
        },
        mail_rules::Gate,
        mailboxes::Addresses,
        registry::{Credential, Standing, lookup, tries, users},
        settings,
        terms::Ground,
        wipe::stop,
    },
    http::Peer,
    ids::{DeviceId, EnrolmentId, Fingerprint},
    server::Server,
    store::Tx,
};
use axum::http::HeaderMap;
use lanyard_activesync::Request;
use std::net::IpAddr;

/// New clients that one login may bring in an hour. Each is a record for ever, and whoever has the password could make up any number;
/// but a shared mailbox may come with dozens of phones on its first day.
const NEW_CLIENTS: usize = 50;

/// Clients of one user that came in by a login and were not ended, as Exchange limits them (EASMaxDevices, 100 as shipped).
const MOST_CLIENTS: usize = 100;

/// What a request brings to say whose it is.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    /// The certificate.
    pub(super) shown: Option<Fingerprint>,
    /// The name in the login.
    pub(super) login: Option<String>,
    /// Whose address a login is.
    pub(super) users: Addresses,
    /// The mail server took the login, or a certificate makes it needless.
    pub(super) proved: bool,
    /// Under this name certificates are asked for.
    pub(super) asked: bool,
    /// From where it comes.
    pub(super) client: IpAddr,
    /// As the client names itself.
    pub(super) agent: Option<String>,
}

/// Bytes of what a client calls itself that are kept; a longer name is none.
const LONGEST_NAME: usize = 256;

/// What a client calls itself, as it is kept: people tell clients apart by it, and let them in or not. Said as before it writes nothing.
pub(super) fn calls_itself(asker: &Asker, request: &Request) -> impl Iterator<Item = (&'static str, String)> {
    let said = [(MAIL_TYPE, Some(request.device_type.clone())), (MAIL_AGENT, asker.agent.clone())];
    let kept = |value: &String| !value.is_empty() && value.len() <= LONGEST_NAME;
    said.into_iter().filter_map(move |(name, value)| Some((name, value.filter(kept)?)))
}

/// An enrolment and its device.
pub(super) struct Who {
    pub(super) device: Managed,
    pub(super) enrolment: EnrolmentId,
}

/// The certificate of a request.
pub(super) fn shown(
    server: &Server,
    peer: &Peer,
    headers: &HeaderMap,
) -> std::result::Result<Option<Fingerprint>, Refusal> {
    identity::certificate(server, peer, headers).map_err(|_| Refusal::Unreadable)
}

/// Whether a certificate may be shown here at all, by whatever device.
pub(super) fn check(tx: &mut Tx<'_>, shown: &Fingerprint) -> Judged<(), Refusal> {
    let (standing, credential, _) = identity::judge(tx, shown)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Refusal::Stranger)) };
    admissible(tx, standing, &credential)
}

/// The same beside a login, which must be of the certificate's own user.
pub(super) fn check_with(tx: &mut Tx<'_>, shown: &Fingerprint, users: &Addresses, login: &str) -> Judged<(), Refusal> {
    let (standing, credential, _) = identity::judge(tx, shown)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Refusal::Stranger)) };
    admissible(tx, standing, &credential)?;
    let login = User::of(tx, login)?;
    must_be_of(tx, &credential, users, &login)
}

/// The name by which the mail server knows the user of a certificate, for whom we give our word; of one that ended none. Of a login beside it
/// it must be the user's.
pub(super) fn signs_on(
    tx: &mut Tx<'_>,
    shown: &Fingerprint,
    users: &Addresses,
    login: Option<&str>,
) -> Judged<Option<String>, Refusal> {
    let (standing, credential, _) = identity::judge(tx, shown)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Refusal::Stranger)) };
    admissible(tx, standing, &credential)?;
    if let Some(login) = login {
        let login = User::of(tx, login)?;
        must_be_of(tx, &credential, users, &login)?;
    }
    let name = known_as(tx, users, credential.user)?;
    Ok((standing != Standing::Ended).then_some(name))
}

/// Of a mailbox's addresses the one by which its user is known here: as a certificate's user, else as the registry knows somebody.
pub(super) fn one_of(
    tx: &mut Tx<'_>,
    users: &Addresses,
    addresses: Vec<String>,
    shown: Option<Fingerprint>,
) -> Result<Option<String>> {
    let addresses: Vec<String> = addresses.into_iter().map(|address| users.of(address)).collect();
    if let Some(shown) = shown
        && let (_, Some(credential), _) = identity::judge(tx, &shown)?
    {
        let user = User::of(tx, &users.of(credential.user))?;
        if let Some(same) = addresses.iter().find(|address| address.to_lowercase() == user.name.to_lowercase()) {
            return Ok(Some(same.clone()));
        }
    }
    for address in &addresses {
        if users::of(tx, address)?.is_some() {
            return Ok(Some(address.clone()));
        }
    }
    Ok(addresses.into_iter().next())
}

/// What a user is called at the mail server: as `--eas-users` says of the address that the name stands for, else that address.
pub(super) fn known_as(tx: &mut Tx<'_>, users: &Addresses, name: String) -> Result<String> {
    let user = User::of(tx, &users.of(name))?;
    Ok(users.login(user.name))
}

/// A certificate goes with the login of its own user alone.
fn must_be_of(tx: &mut Tx<'_>, credential: &Credential, users: &Addresses, login: &User) -> Judged<(), Refusal> {
    let user = User::of(tx, &users.of(credential.user.clone()))?;
    let Err(ground) = login.must_be(&user) else { return Ok(()) };
    identity::note_refusal(tx, credential, ground)?;
    Err(Denial::Refused(if ground == Ground::OtherUser { Refusal::OtherUser } else { Refusal::UnknownUser }))
}

/// Whether who shows a certificate of ours may go to the mail server with what is no ActiveSync; and whether it is one for mail, which must
/// be of the user that the login names; of which device. `our_word`: the mail server would take ours for it.
pub(super) fn check_beside(
    tx: &mut Tx<'_>,
    shown: &Fingerprint,
    users: &Addresses,
    login: Option<&str>,
    our_word: bool,
) -> Judged<(bool, Option<DeviceId>), Refusal> {
    let (standing, credential, device) = identity::judge(tx, shown)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Refusal::Stranger)) };
    let id = device.as_ref().map(|device| device.id);
    let shut = match device {
        Some(device) => {
            let gate = Gate::load(tx)?;
            let open = device.enrolment(credential.enrolment).is_some_and(|mine| gate.lets_in(&device, mine));
            !open || keeper::load(tx, device)?.mail_is_shut(credential.enrolment).is_some()
        }
        // No rule has been asked about its device yet: that happens with its first request for mail.
        None => our_word,
    };
    if standing != Standing::Good || shut {
        let standing = if shut { Standing::Blocked } else { standing };
        identity::note_refusal(tx, &credential, standing.into())?;
        return Err(Denial::Refused(Refusal::Denied));
    }
    let is_mail = credential.channel == Channel::Activesync;
    if let Some(login) = login.filter(|_| is_mail) {
        let login = User::of(tx, login)?;
        must_be_of(tx, &credential, users, &login)?;
    }
    Ok((is_mail, id))
}

/// The same of a login that was proved: whether its enrolment of this name may come without a certificate. An unknown one may.
pub(super) fn check_login(tx: &mut Tx<'_>, login: &str, device_id: &str) -> Judged<(), Refusal> {
    let user = User::of(tx, login)?;
    let Some((device, id)) = lookup::enrolment(tx, Channel::Activesync, device_id, &user.name)? else { return Ok(()) };
    let Some(ground) = kept_out(&device, id) else { return Ok(()) };
    identity::note_refusal_of(tx, Some(device.id), id, ground)?;
    Err(Denial::Refused(Refusal::Denied))
}

/// Whether a wipe waits for a mail client of this user that has no certificate: for this device, or where it is not said for any.
pub(super) fn is_owed_a_wipe(tx: &mut Tx<'_>, login: &str, device: Option<&str>) -> Result<bool> {
    let user = User::of(tx, login)?;
    let devices = match device {
        Some(id) => {
            lookup::enrolment(tx, Channel::Activesync, id, &user.name)?.map(|(device, _)| device).into_iter().collect()
        }
        None => {
            let theirs = users::devices(tx, &user.name)?;
            tx.get_many::<Device>(theirs)?.into_iter().flatten().collect::<Vec<_>>()
        }
    };
    for device in devices {
        let by_login = |e: &Enrolment| e.channel == Channel::Activesync && e.certificate.is_none();
        let clients: Vec<EnrolmentId> = device.enrolments.iter().filter(|e| by_login(e)).map(|e| e.id).collect();
        let mut who = Who { device: keeper::load(tx, device)?, enrolment: EnrolmentId::NONE };
        for client in clients {
            who.enrolment = client;
            if next_wipe(tx, &who)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The same of the enrolment of a certificate.
pub(super) fn certificate_is_owed_a_wipe(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<bool> {
    let (_, credential, device) = identity::judge(tx, shown)?;
    let (Some(credential), Some(device)) = (credential, device) else { return Ok(false) };
    let who = Who { device: keeper::load(tx, device)?, enrolment: credential.enrolment };
    Ok(next_wipe(tx, &who)?.is_some())
}

/// The wipe that waits for this enrolment.
pub(super) fn next_wipe(tx: &mut Tx<'_>, who: &Who) -> Result<Option<Command>> {
    let stopped = stop::is_on(tx)?;
    let next = who.device.next(who.enrolment, Contact::Fresh, stopped, tx.steady());
    Ok(next.filter(|command| command.action() == Action::Wipe).cloned())
}

/// Why an enrolment is not served by a login alone.
fn kept_out(device: &Device, id: EnrolmentId) -> Option<Ground> {
    match device.enrolment(id) {
        Some(e) if e.certificate.is_some() => Some(Ground::NoCertificate),
        Some(e) if e.state == EnrolmentState::Revoked => Some(Ground::EnrolmentRevoked),
        _ => None,
    }
}

/// Blocked and ended enrolments are told so in the protocol's own words; the others are turned away.
fn admissible(tx: &mut Tx<'_>, standing: Standing, credential: &Credential) -> Judged<(), Refusal> {
    let ground = match standing {
        _ if credential.channel != Channel::Activesync => Ground::OtherChannel,
        Standing::Good | Standing::Ended | Standing::Blocked => return Ok(()),
        other => other.into(),
    };
    identity::note_refusal(tx, credential, ground)?;
    Err(Denial::Refused(Refusal::Denied))
}

/// The enrolment that asks. A certificate is bound, and an unknown client recorded, by its first request.
pub(super) fn find(tx: &mut Tx<'_>, asker: &Asker, request: &Request) -> Judged<Who, Refusal> {
    let user = match &asker.login {
        Some(login) => Some(User::of(tx, login)?),
        None => None,
    };
    match (&asker.shown, user) {
        (Some(shown), user) => by_certificate(tx, asker, shown, user.as_ref(), request),
        (None, Some(user)) => by_login(tx, asker, &user, request),
        (None, None) => Err(Denial::Refused(Refusal::NoLogin)),
    }
}

fn by_certificate(
    tx: &mut Tx<'_>,
    asker: &Asker,
    shown: &Fingerprint,
    user: Option<&User>,
    request: &Request,
) -> Judged<Who, Refusal> {
    let (standing, credential, device) = identity::judge(tx, shown)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Refusal::Stranger)) };
    admissible(tx, standing, &credential)?;
    let bound = device.as_ref().and_then(|d| d.enrolment(credential.enrolment));
    if bound.is_some_and(|e| !lookup::is_same(Channel::Activesync, &e.identity, request.device_id.as_str())) {
        identity::note_refusal(tx, &credential, Ground::OtherDevice)?;
        return Err(Denial::Refused(Refusal::Denied));
    }
    if let Some(user) = user {
        must_be_of(tx, &credential, &asker.users, user)?;
    }
    let settled = bound
        .is_some_and(|e| e.state != EnrolmentState::Pending && e.renewed.as_ref().is_none_or(|c| c.sha256 != *shown));
    match device {
        Some(device) if settled => Ok(Who { device: keeper::load(tx, device)?, enrolment: credential.enrolment }),
        _ => Ok(begin(tx, shown, user, request)?),
    }
}

/// The first request with a certificate: the enrolment is complete, and takes the place of a former one of the same name.
fn begin(tx: &mut Tx<'_>, shown: &Fingerprint, user: Option<&User>, request: &Request) -> Result<Who> {
    let (mut device, enrolment) = enrol::bind(tx, shown, &claim(request))?;
    if let Some(user) = user {
        users::note(tx, Channel::Activesync, &device.user, &user.login)?;
    }
    enrol::complete(tx, &mut device, enrolment, shown)?;
    Ok(Who { device, enrolment })
}

fn claim(request: &Request) -> Claim {
    Claim {
        identity: request.device_id.to_string(),
        platform: Some(Platform::of_mail(&request.device_type)),
        ..Claim::default()
    }
}

fn by_login(tx: &mut Tx<'_>, asker: &Asker, user: &User, request: &Request) -> Judged<Who, Refusal> {
    let known = lookup::enrolment(tx, Channel::Activesync, request.device_id.as_str(), &user.name)?;
    let Some((device, id)) = known else {
        // Nothing is written for a login that nobody has proved.
        if !asker.proved {
            return Err(Denial::Refused(Refusal::NoLogin));
        }
        let who = format!("mail client {}", user.name.to_lowercase());
        return match tries::within(tx, &who, NEW_CLIENTS)? {
            None => Err(Denial::Refused(Refusal::TooManyClients)),
            Some(_) if has_many(tx, user)? => Err(Denial::Refused(Refusal::TooManyClients)),
            Some(tries) => {
                tries.count(tx)?;
                Ok(unknown(tx, asker, user, request)?)
            }
        };
    };
    match kept_out(&device, id) {
        None => Ok(Who { device: keeper::load(tx, device)?, enrolment: id }),
        Some(_) if !asker.proved => Err(Denial::Refused(Refusal::NoLogin)),
        Some(_) if !asker.asked => Err(Denial::Refused(Refusal::WrongName)),
        Some(ground) => {
            identity::note_refusal_of(tx, Some(device.id), id, ground)?;
            Err(Denial::Refused(Refusal::Denied))
        }
    }
}

/// Whether a user has as many clients that nobody invited as may be. Those that an administrator ended count no more.
fn has_many(tx: &mut Tx<'_>, user: &User) -> Result<bool> {
    let theirs = users::devices(tx, &user.name)?;
    if theirs.len() < MOST_CLIENTS {
        return Ok(false);
    }
    let theirs = tx.get_many::<Device>(theirs)?;
    let uninvited = |e: &&Enrolment| e.channel == Channel::Activesync && e.certificate.is_none();
    let clients = theirs.iter().flatten().flat_map(|device| device.live()).filter(uninvited);
    Ok(clients.count() >= MOST_CLIENTS)
}

/// A client that nobody invited, of a user whom the mail server knows: recorded, and let in or not as rules say, or else the settings.
fn unknown(tx: &mut Tx<'_>, asker: &Asker, user: &User, request: &Request) -> Result<Who> {
    let claim = claim(request);
    let id: EnrolmentId = tx.new_id();
    let mut device = match join(tx, user, &claim.identity, id)? {
        Some(device) => keeper::load(tx, device)?,
        None => {
            let ownership = match settings::text(tx, "eas.unknown_ownership")?.as_deref() {
                Some("personal") => Ownership::Personal,
                _ => Ownership::Corporate,
            };
            let platform = claim.platform.unwrap_or(Platform::Other);
            Managed::new(tx.new_id(), &user.name, ownership, platform, tx.time())
        }
    };
    let new = Enrolment::new(id, Channel::Activesync, &claim.identity, EnrolmentState::Quarantined, tx.now());
    let channel_state = calls_itself(asker, request).map(|(name, value)| (name.to_string(), value)).collect();
    let mut enrolment = Box::new(Enrolment { last_seen: Some(tx.now()), channel_state, ..new });
    let state = Gate::load(tx)?.newcomer(&device, &enrolment);
    enrolment.state = state;
    keeper::happen(tx, &mut device, Event::Begun { enrolment, personal: false })?;
    lookup::claim(tx, Channel::Activesync.as_str(), &claim.identity, device.id)?;
    users::join(tx, &device)?;
    users::note(tx, Channel::Activesync, &device.user, &user.login)?;
    if state != EnrolmentState::Enrolled {
        // Once for each client, of a login that was proved, and of few clients for each login within an hour.
        let (device, state) = (device.id, if state == EnrolmentState::Blocked { "blocked" } else { "quarantined" });
        tx.log(move || {
            tracing::warn!(%device, enrolment = %id, state, "a mail client that nobody invited was not let in");
        });
    }
    let proof = Proof::Password(device.enrolment(id).map_or("", |e| e.state_within(device.life)));
    let event = audit::Event::EnrolmentComplete { enrolment: id, device: device.id, proof };
    audit::note(tx, audit::By::Device, event)?;
    Ok(Who { device, enrolment: id })
}

/// The same user's device that told this client's name over another channel.
fn join(tx: &mut Tx<'_>, user: &User, identity: &str, id: EnrolmentId) -> Result<Option<Device>> {
    let same_user = |device: &Device| device.is_of(&user.name);
    let found = lookup::claimants(tx, lookup::MAIL_ID, identity)?;
    let others = lookup::claimants(tx, Channel::Activesync.as_str(), identity)?;
    if found.iter().chain(&others).any(|device| !same_user(device)) {
        audit::note(tx, audit::By::Device, audit::Event::DeviceNameTaken { enrolment: id })?;
    }
    let mut joins = found.into_iter().filter(|d| user.whole && same_user(d) && d.live().next().is_some());
    Ok(joins.find(|d| !matches!(d.life, Life::Retired | Life::Wiped)))
}
