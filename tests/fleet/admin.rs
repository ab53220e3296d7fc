//! Administrators: honest ones, and a thief with the token of one of them.

use crate::{
    calls,
    truth::{Cause, Verdict},
    world::{SECRET, World},
};
use lanyard::{
    clock::Steady,
    error::{Error, Result as Answer},
    fleet::{
        actor::Actor,
        admins,
        enrol::{self, access},
        keeper,
        life::{Access, Act, Action, Device, Enrolment, Scope},
        queue::{self, Support},
        settings,
        wipe::{self, Approval, Request, approvals, stop},
    },
    ids::{ApprovalId, CommandId, DeviceId, TokenId},
    store::Tx,
};
use std::{collections::BTreeSet, time::Duration};

/// A person with a token.
#[derive(Debug, Clone)]
pub struct Admin {
    pub name: String,
    pub id: String,
    pub secret: String,
}

/// Asks for the stop's end; whether this person may end it alone.
fn one_may(tx: &mut Tx<'_>, actor: &Actor) -> Answer<bool> {
    let may = stop::status(tx)?.by_newcomer && actor.newcomer_until.is_none();
    stop::ask_off(tx, actor)?;
    Ok(may)
}

/// Who holds another's token.
#[derive(Debug, Clone)]
pub struct Thief {
    pub since: Steady,
    /// The stolen one, and those that were made with it.
    secrets: Vec<String>,
    tokens: Vec<TokenId>,
    admins: Vec<String>,
}

/// Who of the honest ones has been robbed.
const ROBBED: usize = 1;

fn able(_: &Device, _: &Enrolment, _: Action, _: Option<Scope>) -> Support {
    Support::Yes
}

fn request(scope: Scope) -> Request {
    Request { scope, reason: "lost".into(), pin: None, how: Default::default(), delay: None, expires: None }
}

impl World {
    fn an_admin(&mut self) -> Admin {
        let at = self.dice.below(self.admins.len());
        self.admins[at].clone()
    }

    /// The records that wipes may be about.
    fn records(&self) -> Vec<DeviceId> {
        let of: BTreeSet<DeviceId> = self.machines.iter().flat_map(|m| m.held.iter().map(|i| i.record)).collect();
        of.into_iter().collect()
    }

    /// What somebody with this token does; who it is comes back with it.
    fn by<T: Send + 'static>(
        &mut self,
        secret: &str,
        thief: bool,
        approved: Option<ApprovalId>,
        act: impl FnOnce(&mut Tx<'_>, &lanyard::fleet::actor::Actor) -> lanyard::error::Result<T> + Send + 'static,
    ) -> Result<Result<T, Error>, String> {
        self.events += 1;
        let token = secret.to_string();
        let person = self.stage.call(move |tx| calls::actor(tx, &token))?;
        let Ok(person) = person else { return Ok(Err(Error::forbidden("token", "the token opens nothing"))) };
        let (id, name) = (person.id.clone(), person.name.clone());
        let done = self.stage.call(move |tx| act(tx, &person))?;
        let words = done.as_ref().map_or_else(ToString::to_string, |_| "done".to_string());
        self.tell(format!("… by {name}{}: {words}", if thief { "'s token, which a thief has" } else { "" }));
        self.look(&Cause::Admin { person: id, thief, approved })?;
        Ok(done)
    }

    pub fn a_wipe_is_asked_for(&mut self) -> Verdict {
        let records = self.records();
        let Some(record) = self.dice.pick(&records) else { return Ok(()) };
        let secret = self.an_admin().secret;
        self.asks(&secret, false, record)
    }

    fn asks(&mut self, secret: &str, thief: bool, record: DeviceId) -> Verdict {
        let scope = if self.dice.in_hundred(70) { Scope::Full } else { Scope::Selective };
        let mut wanted = request(scope);
        if self.dice.in_hundred(15) {
            wanted.delay = self.dice.pick(&[Duration::from_secs(60), Duration::from_secs(3600)]);
        }
        if self.dice.in_hundred(10) {
            wanted.expires = Some(Duration::from_secs(2 * 86_400));
        }
        let name = self.record_name(record);
        self.tell(format!("a {scope:?} wipe of {name} is asked for"));
        let ask = move |tx: &mut Tx<'_>, actor: &_| wipe::ask(tx, actor, &record.to_string(), wanted, &able);
        if let Ok(command) = self.by(secret, thief, None, ask)? {
            let words = format!("… it is {}, {:?}", self.wipe_name(command.id), command.state);
            self.tell(words);
        }
        Ok(())
    }

    pub fn something_else_is_asked_for(&mut self) -> Verdict {
        let records = self.records();
        let Some(record) = self.dice.pick(&records) else { return Ok(()) };
        let act = self.dice.pick(&[Act::Refresh, Act::Restart, Act::ClearPasscode]).unwrap();
        let lock = self.dice.in_hundred(40);
        let secret = self.an_admin().secret;
        let name = self.record_name(record);
        self.tell(format!("something else is asked of {name}"));
        self.by(&secret, false, None, move |tx, actor| {
            if lock {
                return wipe::ask_lock(tx, actor, &record.to_string(), "", wipe::Screen::default(), &able);
            }
            if act == Act::ClearPasscode {
                return wipe::ask_clear_passcode(tx, actor, &record.to_string(), &able);
            }
            let mut device = keeper::by_id(tx, record)?;
            queue::ask(tx, actor, &mut device, act, &able)
        })
        .map(drop)
    }

    pub fn a_wipe_is_cancelled(&mut self) -> Verdict {
        let secret = self.an_admin().secret;
        self.cancels(&secret, false)
    }

    fn cancels(&mut self, secret: &str, thief: bool) -> Verdict {
        let open: Vec<CommandId> =
            self.truth.wipes.iter().filter(|(_, wipe)| !wipe.state.is_final()).map(|(id, _)| *id).collect();
        let Some(id) = self.dice.pick(&open) else { return Ok(()) };
        let open_mail = self.dice.in_hundred(80);
        let name = self.wipe_name(id);
        self.tell(format!("{name} is to be cancelled"));
        self.by(secret, thief, None, move |tx, actor| wipe::cancel(tx, actor, id, open_mail)).map(drop)
    }

    /// Somebody looks at what waits, and says yes or no: at once, or after more was asked for.
    pub fn an_approval_is_decided(&mut self) -> Verdict {
        let secret = self.an_admin().secret;
        self.decides(&secret, false)
    }

    fn decides(&mut self, secret: &str, thief: bool) -> Verdict {
        let waiting: Vec<Approval> = self.stage.sure(|tx| {
            let all = tx.all::<Approval>("")?;
            Ok(all.into_iter().filter(|a| a.stage == approvals::Stage::Waiting).collect())
        })?;
        let Some(id) = self.dice.pick(&waiting).map(|a| a.id) else { return Ok(()) };
        let looked =
            self.by(secret, thief, None, move |tx, actor| Ok((actor.id.clone(), approvals::look(tx, actor, id)?)))?;
        let Ok((person, approval)) = looked else { return Ok(()) };
        self.truth.was_read(&person, id, &approval.commands);
        if self.dice.in_hundred(20) {
            // It may grow before it is decided.
            self.a_wipe_is_asked_for()?;
        }
        if self.dice.in_hundred(25) {
            self.tell("an approval is rejected".into());
            return self.by(secret, thief, None, move |tx, actor| approvals::reject(tx, actor, id)).map(drop);
        }
        self.tell("an approval is given".into());
        let approved = self.by(secret, thief, Some(id), move |tx, actor| approvals::approve(tx, actor, id))?;
        self.note_stop(approved.is_ok())
    }

    /// The truth about the stop, after somebody lifted it or may have.
    fn note_stop(&mut self, may_have: bool) -> Verdict {
        if may_have {
            self.truth.stopped = self.stage.sure(stop::is_on)?;
        }
        Ok(())
    }

    pub fn the_stop_is_used(&mut self) -> Verdict {
        let secret = self.an_admin().secret;
        self.stops(&secret, false)
    }

    fn stops(&mut self, secret: &str, thief: bool) -> Verdict {
        if self.truth.stopped {
            self.tell("the stop is to be lifted".into());
            let ask = |tx: &mut Tx<'_>, actor: &_| one_may(tx, actor);
            let asked = self.by(secret, thief, None, ask)?;
            let lifted = !self.stage.sure(stop::is_on)?;
            if lifted && asked.as_ref().is_ok_and(|may| !may) {
                return Err("(d) one person alone lifted a stop that counts".into());
            }
            return self.note_stop(lifted);
        }
        let all = self.dice.in_hundred(30);
        self.tell(format!("the stop is set{}", if all { ", and all is cancelled" } else { "" }));
        let set = self.by(secret, thief, None, move |tx, actor| stop::set(tx, actor, all).map(drop))?;
        self.truth.stopped |= set.is_ok();
        Ok(())
    }

    /// By one who asks and one who agrees.
    pub fn the_stop_is_lifted(&mut self) -> Verdict {
        if !self.truth.stopped {
            return Ok(());
        }
        let (local, bob) = (SECRET.to_string(), self.admins[2].secret.clone());
        let asked = self.by(&local, false, None, stop::ask_off)?;
        let asked = asked.map_err(|e| format!("the stop cannot be lifted: {e}"))?;
        if asked.stage == approvals::Stage::Approved {
            return self.note_stop(true);
        }
        let id = asked.id;
        let approve = move |tx: &mut Tx<'_>, actor: &_| {
            approvals::look(tx, actor, id)?;
            approvals::approve(tx, actor, id)
        };
        let lifted = self.by(&bob, false, None, approve)?;
        lifted.map_err(|e| format!("the stop cannot be lifted: {e}"))?;
        self.note_stop(true)
    }

    pub fn an_enrolment_is_revoked(&mut self) -> Verdict {
        let records = self.records();
        let Some(record) = self.dice.pick(&records) else { return Ok(()) };
        let (secret, name) = (self.an_admin().secret, self.record_name(record));
        self.tell(format!("the certificates of {name} are to be revoked"));
        self.by(&secret, false, None, move |tx, actor| {
            wipe::count_act(tx, actor)?;
            enrol::revoke(tx, &actor.id, record, None, "stolen").map(drop)
        })
        .map(drop)
    }

    pub fn mail_is_let_in_or_not(&mut self) -> Verdict {
        let records = self.records();
        let Some(record) = self.dice.pick(&records) else { return Ok(()) };
        let access = self.dice.pick(&[Access::Allow, Access::Block, Access::Quarantine]).unwrap();
        let (secret, name) = (self.an_admin().secret, self.record_name(record));
        self.tell(format!("{access:?} for the mail of {name}"));
        self.by(&secret, false, None, move |tx, actor| {
            access::set(tx, actor, &record.to_string(), None, access, "").map(drop)
        })
        .map(drop)
    }

    pub fn a_token_is_stolen(&mut self) {
        let robbed = self.admins[ROBBED].clone();
        self.tell(format!("a thief has the token of {}", robbed.name));
        let since = self.stage.now();
        self.thief = Some(Thief { since, secrets: vec![robbed.secret], tokens: Vec::new(), admins: Vec::new() });
    }

    pub fn the_thief_acts(&mut self) -> Verdict {
        let Some(thief) = self.thief.clone() else { return Ok(()) };
        let Some(secret) = self.dice.pick(&thief.secrets) else { return Ok(()) };
        match self.dice.below(12) {
            0..4 => {
                self.tell("the thief wipes all there is".into());
                self.records().into_iter().try_for_each(|record| self.asks(&secret, true, record))
            }
            4 => self.cancels(&secret, true),
            5 | 6 => self.decides(&secret, true),
            7 => self.stops(&secret, true),
            8 => self.the_thief_sets(&secret),
            9 | 10 => self.the_thief_makes_tokens(&secret),
            _ => self.a_script_claims(),
        }
    }

    fn the_thief_sets(&mut self, secret: &str) -> Verdict {
        let (key, value) = self
            .dice
            .pick(&[
                ("wipe.full.per_admin", "1000"),
                ("wipe.full.per_tenant", "1000"),
                ("wipe.newcomer", "0s"),
                ("wipe.delay", "0s"),
                ("apple.daily_wake", "off"),
            ])
            .unwrap();
        self.tell(format!("the thief sets {key} to {value}"));
        self.by(secret, true, None, move |tx, actor| settings::set(tx, actor, key, value)).map(drop)
    }

    fn the_thief_makes_tokens(&mut self, secret: &str) -> Verdict {
        let known: Vec<String> = self.admins.iter().skip(1).map(|a| a.id.clone()).collect();
        let new = self.dice.in_hundred(40).then(|| format!("mallory-{}", self.events));
        let whose = self.dice.pick(&known).unwrap();
        self.tell("the thief makes a token".into());
        let made = self.by(secret, true, None, move |tx, actor| {
            let (admin, made) = match new {
                Some(name) => {
                    let id = admins::add(tx, actor, &name)?.id;
                    (id.clone(), Some(id))
                }
                None => (whose, None),
            };
            let (view, secret) = admins::create_token(tx, actor, Some(&admin))?;
            Ok((view.id, secret, made))
        })?;
        if let (Ok((token, secret, admin)), Some(thief)) = (made, &mut self.thief) {
            thief.tokens.push(token);
            thief.secrets.push(secret);
            thief.admins.extend(admin);
        }
        Ok(())
    }

    /// The machine's own administrator undoes what the thief made. Who was robbed gets another token.
    pub fn the_theft_is_noticed(&mut self) -> Verdict {
        let Some(thief) = self.thief.take() else { return Ok(()) };
        self.tell("the theft is noticed".into());
        let robbed = self.admins[ROBBED].clone();
        let secret = self.stage.sure(move |tx| {
            let local = calls::actor(tx, SECRET)?;
            let of_robbed = admins::list_tokens(tx)?.into_iter().filter(|t| t.admin == robbed.name).map(|t| t.id);
            let tokens: BTreeSet<TokenId> = of_robbed.chain(thief.tokens).collect();
            for token in tokens {
                admins::revoke_token(tx, &local, token)?;
            }
            for admin in thief.admins {
                admins::remove(tx, &local.id, &admin)?;
            }
            for setting in settings::list(tx)?.into_iter().filter(|s| s.pending.is_some()) {
                settings::set(tx, &local, &setting.key, &setting.value)?;
            }
            Ok(admins::create_token(tx, &local, Some(&robbed.id))?.1)
        })?;
        self.admins[ROBBED].secret = secret;
        Ok(())
    }
}
