//! What is kept of a part that went to a device: how it stands there, when it was last seen to hold, when it is tried again. A value:
//! what happens to a part comes in, the time with it.

mod lean;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use self::lean::Lean;
use crate::clock::Steady;

/// Which policies a part comes from, and which settings each asks for in it; none are named where the part's id says which.
pub type Origins = BTreeMap<String, Vec<String>>;

/// Bytes of a part's hash.
pub(super) const HASHED: usize = 16;
/// What was refused is tried again so long after.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(86_400),
];
/// The pause after so many tries in vain, from one on; it grows to a day.
pub fn pause_after(tries: u32) -> Duration {
    PAUSES.get(tries.saturating_sub(1) as usize).or(PAUSES.last()).copied().unwrap_or_default()
}

/// Of what was lost, set again, and not seen since.
const NOT_SEEN: &str = "it was not there, was set again, and was not seen since";
/// Of what was taken away by the device's word.
const STAYS: &str = "it said that it was gone, and has it still";
/// What a device has no such thing for is tried no sooner: only another system would have it.
const ABSENT: u16 = 5;

/// What became of a part that was sent. Kept in the device's record, so short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Lean", into = "Lean")]
pub struct Applied {
    /// The hash of the part as it was sent.
    pub hash: String,
    /// The device's answer.
    pub outcome: Outcome,
    /// When it answered, to the second.
    pub at: OffsetDateTime,
    /// It was taken by the device once, in this content or a former one, and was not taken away since.
    pub held: bool,
    /// It was sent, to be set or to be taken away, and that is not answered: it may be there.
    pub out: bool,
    /// Whose it is.
    pub of: Origins,
    /// How often it was refused on end, or lost with no look between that found it.
    pub tries: u16,
    /// What was refused is not tried before.
    pub again: Option<Steady>,
    /// When it was last set or read back; none: it is to be read back at once.
    pub looked: Option<Steady>,
    /// Since when it holds, or is refused.
    pub since: Option<OffsetDateTime>,
    /// When the device was last seen to hold this content.
    pub verified: Option<OffsetDateTime>,
    /// Of a part with rules for the passcode: what the device says of that since it took this content. None: not asked yet.
    pub passcode: Option<Passcode>,
    /// What the device answered in place of the value, when it was last asked whether it still holds it. None: it told, or was not asked.
    pub unread: Option<String>,
}

/// What a device says of its passcode. An Apple device takes the rules at once; the passcode keeps to them when its user has changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passcode {
    /// Its last word; none: it was asked, and has not said.
    pub said: Option<Said>,
    /// Since when it says so.
    pub since: OffsetDateTime,
    /// When it last said that its passcode keeps to these rules.
    pub met: Option<OffsetDateTime>,
    /// How often on end it did not say that.
    pub tries: u16,
    /// It is asked again no sooner; none: when the part is next read back.
    pub again: Option<Steady>,
    /// What the device answered in place of its word, when it was last asked. None: it said.
    pub unread: Option<String>,
}

#[cfg(test)]
impl Passcode {
    /// One that keeps to the rules, by the device's own word then.
    pub(super) fn met(at: OffsetDateTime) -> Passcode {
        Passcode { said: Some(Said::Met), since: at, met: Some(at), tries: 0, again: None, unread: None }
    }
}

/// A device's word on its passcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It keeps to the rules.
    Met,
    /// It does not.
    Unmet,
    /// There is none.
    Absent,
}

/// A device's answer to a part. Texts are cut to [`Outcome::MAX_TEXT`] characters by the constructors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, as far as the device says. On ActiveSync: acknowledged with status 1, which proves no single setting.
    Enforced,
    /// Done in part (ActiveSync: status 2).
    Partly(String),
    /// Refused.
    Failed(String),
    /// The device has no such thing.
    Unsupported(String),
    /// It was to be taken away, and the device refused that.
    Stuck(String),
    /// Sent, and not answered yet.
    Sent,
    /// Its removal was sent, and is not answered yet.
    Leaving,
    /// The device had it, and has it no more.
    Lost,
    /// The device took it and does not let it be read back, as it should: in doubt, but that is no reason to send it again.
    Unread(String),
    /// The device took it, and such a thing may be there to be set alone.
    Taken,
    /// The device took it, and keeps it in its own way: that it is there is seen, and what it holds cannot be.
    There,
    /// The device says that it let it go; it was not looked for since.
    Away,
}

impl Outcome {
    /// Characters of a device's text that are kept.
    pub const MAX_TEXT: usize = 200;

    /// [`Outcome::Partly`] with the text cut.
    pub fn partly(text: &str) -> Outcome {
        Outcome::Partly(cut(text))
    }

    /// [`Outcome::Failed`] with the text cut.
    pub fn failed(text: &str) -> Outcome {
        Outcome::Failed(cut(text))
    }

    /// [`Outcome::Unsupported`] with the text cut.
    pub fn unsupported(text: &str) -> Outcome {
        Outcome::Unsupported(cut(text))
    }

    /// [`Outcome::Stuck`] with the text cut.
    pub fn stuck(text: &str) -> Outcome {
        Outcome::Stuck(cut(text))
    }

    /// [`Outcome::Unread`] with the text cut.
    pub fn unread(text: &str) -> Outcome {
        Outcome::Unread(cut(text))
    }

    /// Whether the device took it, and has it as far as is known.
    pub fn holds(&self) -> bool {
        matches!(self, Outcome::Enforced | Outcome::Unread(_) | Outcome::Taken | Outcome::There)
    }

    /// Whether it was refused, wholly or in part: it is tried again after a pause.
    pub fn is_refused(&self) -> bool {
        matches!(self, Outcome::Partly(_) | Outcome::Failed(_) | Outcome::Unsupported(_))
    }
}

fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(Outcome::MAX_TEXT).collect()
}

/// What happens to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the calendar.
    pub at: OffsetDateTime,
    /// By the time that counts for waits.
    pub now: Steady,
}

impl Applied {
    /// One that was answered so, and of which nothing more is known.
    pub fn new(hash: &str, outcome: Outcome, at: OffsetDateTime) -> Applied {
        Applied {
            hash: hash.to_owned(),
            outcome,
            at,
            held: false,
            out: false,
            of: Origins::new(),
            tries: 0,
            again: None,
            looked: None,
            since: None,
            verified: None,
            passcode: None,
            unread: None,
        }
    }

    /// Whether something of it may be at the device.
    pub fn may_be_there(&self) -> bool {
        self.held || self.out
    }

    /// It leaves for the device, to be set. A repeat of what was refused stays refused until it is answered.
    pub fn sent(before: Option<Applied>, hash: &str, of: Origins, when: Moment) -> Applied {
        let mut part = before.unwrap_or_else(|| Applied::new(hash, Outcome::Sent, when.at));
        let same = part.hash == hash && (part.outcome.is_refused() || part.outcome == Outcome::Lost);
        if part.hash != hash {
            (part.verified, part.passcode) = (None, None);
        }
        if !same {
            (part.outcome, part.tries, part.again, part.since) = (Outcome::Sent, 0, None, None);
        }
        part.hash = hash.to_owned();
        part.out = true;
        // What it held before may be there still: until it is known to hold this, it is both.
        for (policy, settings) in of {
            let known = part.of.entry(policy).or_default();
            let new: Vec<String> = settings.into_iter().filter(|setting| !known.contains(setting)).collect();
            known.extend(new);
        }
        part
    }

    /// Its removal leaves for the device. From now on nobody knows that it is whole.
    pub fn leaves(&mut self) {
        // It was to be set, and that was never answered: it may be there, whatever becomes of its removal.
        self.held |= self.out && !matches!(self.outcome, Outcome::Leaving | Outcome::Stuck(_));
        self.out = true;
        if !matches!(self.outcome, Outcome::Stuck(_)) {
            (self.outcome, self.tries, self.again, self.since) = (Outcome::Leaving, 0, None, None);
        }
    }

    /// The device answered what was sent to be set.
    pub fn answered(before: Option<Applied>, hash: &str, outcome: Outcome, when: Moment) -> Applied {
        let mut part = before.unwrap_or_else(|| Applied::new(hash, Outcome::Sent, when.at));
        let again = part.hash == hash && part.outcome.is_refused();
        let lost = if part.hash == hash && part.outcome == Outcome::Lost { part.tries } else { 0 };
        if part.hash != hash {
            (part.verified, part.passcode) = (None, None);
            part.hash = hash.to_owned();
        }
        part.held |= outcome.holds() || matches!(outcome, Outcome::Partly(_));
        if outcome.is_refused() {
            part.refused(again, matches!(outcome, Outcome::Unsupported(_)), when);
        } else {
            part.since = part.since.filter(|_| part.outcome.holds()).or(Some(when.at));
            (part.tries, part.again, part.looked) = (0, None, Some(when.now));
        }
        if matches!(outcome, Outcome::Taken | Outcome::There) {
            // Whatever was said before: nobody has seen it.
            part.verified = None;
        }
        let mut outcome = outcome;
        if outcome == Outcome::Enforced {
            if lost > 0 {
                // It said so before, and had it not: its answer alone counts no more until it is seen to have it.
                (part.tries, part.looked, outcome) = (lost, None, Outcome::unread(NOT_SEEN));
            } else {
                part.verified = Some(when.at);
            }
            // What it said before is of the passcode under what was there before.
            let anew = |before| Passcode { said: None, tries: 0, again: None, unread: None, ..before };
            part.passcode = part.passcode.map(anew);
        }
        (part.outcome, part.at, part.out, part.unread) = (outcome, when.at, false, None);
        part
    }

    /// The device refused to let it go. It is looked for at once: it may not be there at all.
    pub fn stuck(&mut self, text: &str, when: Moment) {
        let again = matches!(self.outcome, Outcome::Stuck(_));
        self.refused(again, false, when);
        (self.outcome, self.at, self.out) = (Outcome::stuck(text), when.at, false);
        if !again {
            self.looked = None;
        }
    }

    /// The device says that it let it go. It is looked for when what is set is read back; where it was there after such a word before, at once.
    pub fn away(&mut self, when: Moment) {
        if !matches!(self.outcome, Outcome::Stuck(_)) {
            (self.tries, self.since) = (0, None);
        }
        (self.outcome, self.at, self.again) = (Outcome::Away, when.at, None);
        (self.held, self.out, self.unread) = (false, false, None);
        self.looked = (self.tries == 0).then_some(when.now);
    }

    /// It was looked for after that, and is there still: it is taken away again, after a pause.
    pub fn stays(&mut self, when: Moment) {
        self.refused(self.tries > 0, false, when);
        (self.outcome, self.at, self.held) = (Outcome::stuck(STAYS), when.at, true);
        self.looked = Some(when.now);
    }

    fn refused(&mut self, again: bool, absent: bool, when: Moment) {
        self.tries = if again { self.tries.saturating_add(1) } else { 1 };
        self.since = self.since.filter(|_| again).or(Some(when.at));
        let step = if absent { self.tries.max(ABSENT) } else { self.tries };
        self.again = Some(when.now.plus(pause_after(step.into())));
    }

    /// It was read back, and holds.
    pub fn seen(&mut self, when: Moment) {
        if !self.outcome.holds() {
            self.since = Some(when.at);
        }
        (self.outcome, self.held, self.unread) = (Outcome::Enforced, true, None);
        (self.tries, self.again) = (0, None);
        (self.verified, self.looked) = (Some(when.at), Some(when.now));
    }

    /// Whether it could be read when it was last.
    pub fn tells(&self) -> bool {
        matches!(self.outcome, Outcome::Enforced | Outcome::There)
    }

    /// It was to be read back, and the device answered this instead: it is as it was, and was not seen.
    pub fn unread(&mut self, text: &str) {
        self.unread = Some(cut(text));
    }

    /// It was read back, and is not there. It is set again at once; where it was not seen since it was lost before, after pauses that grow.
    pub fn lost(&mut self, when: Moment) {
        if self.verified == Some(self.at) {
            // Nothing but its answer said so, and that is contradicted.
            self.verified = None;
        }
        let before = if self.outcome.is_refused() { 0 } else { self.tries };
        self.tries = before.saturating_add(1);
        self.again = (before > 0).then(|| when.now.plus(pause_after(before.into())));
        (self.outcome, self.at, self.since, self.unread) = (Outcome::Lost, when.at, None, None);
    }

    /// The device was asked whether its passcode keeps to this: its word, or none. One that it does not say again stands as it was.
    pub fn passcode_told(&mut self, said: Option<Said>, when: Moment) {
        let before = self.passcode.take();
        let unread = if said.is_some() { None } else { before.as_ref().and_then(|before| before.unread.clone()) };
        let met = if said == Some(Said::Met) { Some(when.at) } else { before.as_ref().and_then(|before| before.met) };
        let said = said.or(before.as_ref().and_then(|before| before.said));
        let again = before.filter(|before| before.said == said);
        let since = again.as_ref().map_or(when.at, |before| before.since);
        let told = Passcode { said, since, met, tries: 0, again: None, unread };
        self.passcode = Some(match said {
            Some(Said::Met) => told,
            _ => {
                let tries = again.map_or(1, |before| before.tries.saturating_add(1));
                Passcode { tries, again: Some(when.now.plus(pause_after(tries.into()))), ..told }
            }
        });
    }

    /// It was asked how its passcode is, and the device answered this instead: its last word stands.
    pub fn passcode_unread(&mut self, text: &str) {
        self.passcode.iter_mut().for_each(|passcode| passcode.unread = Some(cut(text)));
    }

    /// Somebody wants to know now: pauses are over, and it is read back.
    pub fn look_again(&mut self) {
        (self.again, self.looked) = (None, None);
        self.passcode.iter_mut().for_each(|passcode| passcode.again = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(seconds: i64) -> Moment {
        let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        Moment { at, now: Steady(seconds * 1000) }
    }

    fn pause(part: &Applied, from: i64) -> Option<u64> {
        part.again.map(|again| again.since(when(from).now).as_secs())
    }

    #[test]
    fn what_is_refused_is_tried_again_ever_more_rarely() {
        let mut part = None;
        for (turn, want) in [60, 600, 3600, 21_600, 86_400, 86_400].into_iter().enumerate() {
            let at = i64::try_from(turn).unwrap();
            part = Some(Applied::sent(part, "ab", Origins::new(), when(at)));
            part = Some(Applied::answered(part, "ab", Outcome::failed("500"), when(at)));
            let kept = part.as_ref().unwrap();
            assert_eq!((pause(kept, at), kept.since), (Some(want), Some(when(0).at)), "turn {turn}");
            assert!(!kept.may_be_there());
        }
        let mut part = part.unwrap();
        part.look_again();
        assert_eq!((part.again, part.tries), (None, 6), "somebody asked: now, and after that as before");
        let part = Applied::answered(Some(part), "cd", Outcome::failed("500"), when(9));
        assert_eq!((pause(&part, 9), part.since), (Some(60), Some(when(9).at)), "another content begins anew");
        let part = Applied::answered(Some(part), "cd", Outcome::Enforced, when(10));
        assert_eq!((part.again, part.tries, part.verified), (None, 0, Some(when(10).at)));
        let absent = Applied::answered(None, "ab", Outcome::unsupported("404"), when(0));
        assert_eq!(pause(&absent, 0), Some(86_400));
    }

    #[test]
    fn a_refused_removal_is_counted_apart_and_looked_for_once() {
        let mut part = Applied::answered(None, "ab", Outcome::Enforced, when(0));
        part.leaves();
        assert_eq!((&part.outcome, part.out), (&Outcome::Leaving, true));
        part.stuck("500", when(5));
        assert_eq!((pause(&part, 5), part.since, part.looked), (Some(60), Some(when(5).at), None));
        part.looked = Some(when(6).now);
        part.leaves();
        assert_eq!(part.outcome, Outcome::stuck("500"), "it is left behind while it is tried again");
        part.stuck("405", when(70));
        assert_eq!((pause(&part, 70), part.since), (Some(600), Some(when(5).at)));
        assert_eq!((&part.outcome, part.looked), (&Outcome::stuck("405"), Some(when(6).now)));
    }

    #[test]
    fn what_is_there_after_it_was_said_to_be_gone_goes_again_ever_more_rarely() {
        let mut part = Applied::answered(None, "ab", Outcome::Enforced, when(0));
        for (round, wait) in [60, 600, 3600, 21_600, 86_400, 86_400].into_iter().enumerate() {
            part.leaves();
            part.away(when(9));
            assert_eq!((&part.outcome, part.may_be_there(), part.again), (&Outcome::Away, false, None));
            let looked = if round == 0 { Some(when(9).now) } else { None };
            assert_eq!(part.looked, looked, "after it was there again it is looked for at once");
            part.stays(when(100));
            assert_eq!((pause(&part, 100), part.since), (Some(wait), Some(when(100).at)), "round {round}");
            assert_eq!((&part.outcome, part.may_be_there()), (&Outcome::stuck(STAYS), true));
        }
        let back: Applied = rmp_serde::from_slice(&rmp_serde::to_vec(&part).unwrap()).unwrap();
        assert_eq!(back, part);
        let mut gone = Applied::answered(None, "ab", Outcome::Enforced, when(0));
        gone.away(when(1));
        let back: Applied = rmp_serde::from_slice(&rmp_serde::to_vec(&gone).unwrap()).unwrap();
        assert_eq!(back, gone);
    }

    #[test]
    fn what_was_sent_and_never_answered_may_be_there() {
        let part = Applied::sent(None, "ab", Origins::new(), when(0));
        assert!(part.may_be_there() && !part.held);
        let refused = Applied::answered(Some(part), "ab", Outcome::failed("500"), when(1));
        assert!(!refused.may_be_there());
        let held = Applied::answered(None, "ab", Outcome::Enforced, when(1));
        let changed = Applied::sent(Some(held), "cd", Origins::new(), when(2));
        assert_eq!((&changed.outcome, changed.verified), (&Outcome::Sent, None));
        let refused = Applied::answered(Some(changed), "cd", Outcome::unsupported("404"), when(3));
        assert!(refused.may_be_there(), "in its former content");
    }

    #[test]
    fn what_the_passcode_keeps_to_is_the_devices_last_word() {
        let mut part = Applied::answered(None, "ab", Outcome::Enforced, when(0));
        let mut told = |said, seconds| {
            part.passcode_told(said, when(seconds));
            part.passcode.clone().unwrap()
        };
        let pause = |told: &Passcode, from: i64| told.again.map(|again| again.since(when(from).now).as_secs());
        for (at, said, want, since, wait) in [
            (1, None, None, 1, Some(60)),
            (70, None, None, 1, Some(600)),
            (700, Some(Said::Unmet), Some(Said::Unmet), 700, Some(60)),
            (770, None, Some(Said::Unmet), 700, Some(600)),
            (1500, Some(Said::Absent), Some(Said::Absent), 1500, Some(60)),
            (1600, Some(Said::Met), Some(Said::Met), 1600, None),
            (1700, None, Some(Said::Met), 1600, None),
            (1800, Some(Said::Met), Some(Said::Met), 1600, None),
            (1900, Some(Said::Unmet), Some(Said::Unmet), 1900, Some(60)),
        ] {
            let now = told(said, at);
            assert_eq!((now.said, now.since, pause(&now, at)), (want, when(since).at, wait), "{at}");
            let met = [(1600..1800, 1600), (1800..9999, 1800)].into_iter().find(|(span, _)| span.contains(&at));
            assert_eq!(now.met, met.map(|(_, met)| when(met).at), "{at}");
        }
        part.look_again();
        assert_eq!(part.passcode.as_ref().unwrap().again, None, "somebody wants to know now");
        part.passcode_unread("Error");
        part.passcode_told(None, when(1950));
        assert_eq!(part.passcode.as_ref().unwrap().unread.as_deref(), Some("Error"), "still silent");
        let mut says = part.clone();
        says.passcode_told(Some(Said::Unmet), when(1960));
        assert_eq!(says.passcode.unwrap().unread, None, "it said");
        part.lost(when(2000));
        let part = Applied::answered(Some(part), "ab", Outcome::Enforced, when(2001));
        let again = part.passcode.clone().unwrap();
        assert_eq!((again.said, again.met), (None, Some(when(1800).at)), "set again: it has not said yet");
        assert_eq!(again.unread, None);
        let failed = Applied::answered(Some(part.clone()), "ab", Outcome::failed("x"), when(2002));
        assert_eq!(failed.passcode, part.passcode);
        assert_eq!(Applied::answered(Some(part), "cd", Outcome::Enforced, when(2003)).passcode, None, "other rules");
    }

    #[test]
    fn what_cannot_be_seen_is_not_said_to_have_been() {
        let seen = Applied::answered(None, "ab", Outcome::Enforced, when(1));
        for outcome in [Outcome::Taken, Outcome::There] {
            let part = Applied::answered(Some(seen.clone()), "ab", outcome.clone(), when(5));
            assert_eq!((part.since, part.verified, part.held), (Some(when(1).at), None, true), "{outcome:?}");
        }
        let mut part = seen;
        part.unread("Status 500");
        assert_eq!((&part.outcome, part.verified), (&Outcome::Enforced, Some(when(1).at)));
        assert_eq!(part.unread.as_deref(), Some("Status 500"));
        let back: Applied = rmp_serde::from_slice(&rmp_serde::to_vec(&part).unwrap()).unwrap();
        assert_eq!(back, part);
        let (mut seen, mut lost) = (part.clone(), part.clone());
        seen.seen(when(9));
        lost.lost(when(9));
        let set = Applied::answered(Some(part), "ab", Outcome::Enforced, when(9));
        assert_eq!([seen.unread, lost.unread, set.unread], [None, None, None], "it told since");
    }

    #[test]
    fn what_holds_says_since_when_and_when_it_was_seen() {
        let mut part = Applied::answered(None, "ab", Outcome::Enforced, when(1));
        part.seen(when(50));
        assert_eq!((part.since, part.verified), (Some(when(1).at), Some(when(50).at)));
        part.lost(when(60));
        assert_eq!((part.since, part.verified), (None, Some(when(50).at)), "when it was last seen to hold");
        let part = Applied::sent(Some(part), "ab", Origins::new(), when(61));
        let part = Applied::answered(Some(part), "ab", Outcome::Enforced, when(62));
        assert_eq!((part.since, part.verified), (Some(when(62).at), Some(when(50).at)), "by its word alone");
        assert_eq!((part.outcome.clone(), part.looked), (Outcome::unread(NOT_SEEN), None), "it is looked for at once");
        let mut part = part;
        part.seen(when(63));
        assert_eq!((part.outcome, part.verified, part.tries), (Outcome::Enforced, Some(when(63).at), 0));
    }

    #[test]
    fn what_was_set_without_an_answer_may_stay_where_it_is_not_let_go() {
        let refused = Applied::answered(None, "ab", Outcome::failed("x"), when(1));
        for (row, before, may) in [("set, not answered", None, true), ("refused", Some(refused), false)] {
            let mut part = before.unwrap_or_else(|| Applied::sent(None, "ab", Origins::new(), when(1)));
            part.leaves();
            part.leaves();
            part.stuck("Status 500", when(2));
            assert_eq!(part.may_be_there(), may, "{row}");
        }
    }

    #[test]
    fn what_is_lost_again_and_again_is_set_again_ever_more_rarely() {
        let mut part = Applied::answered(None, "ab", Outcome::Enforced, when(1));
        for (round, wait) in
            [None, Some(60), Some(600), Some(3600), Some(21_600), Some(86_400), Some(86_400)].into_iter().enumerate()
        {
            part.lost(when(100));
            assert_eq!(part.again, wait.map(|wait| when(100 + wait).now), "round {round}");
            part = Applied::sent(Some(part), "ab", Origins::new(), when(100));
            part = Applied::answered(Some(part), "ab", Outcome::Enforced, when(100));
            assert_eq!(part.verified, None, "round {round}: nothing but its answers said so");
        }
        part.seen(when(200));
        part.lost(when(300));
        assert_eq!(part.again, None, "it had it in between");
    }

    #[test]
    fn records_keep_their_form() {
        let at = OffsetDateTime::UNIX_EPOCH;
        for (record, json) in [
            (Applied::new("ab", Outcome::Enforced, at), r#"{"hash":"ab","outcome":"enforced","at":0}"#),
            (Applied::new("ab", Outcome::failed("a\nb"), at), r#"{"hash":"ab","outcome":{"failed":"a b"},"at":0}"#),
        ] {
            let old = Applied { since: Some(at), ..record.clone() };
            assert_eq!(serde_json::from_str::<Applied>(json).unwrap(), old, "as version 0.1.0 wrote it");
            let text = serde_json::to_string(&record).unwrap();
            assert!(text.starts_with(json.trim_end_matches('}')), "{text}");
            assert_eq!(serde_json::from_str::<Applied>(&text).unwrap(), record);
        }
        let moment = |seconds| Some(when(seconds).at);
        let full = Applied {
            held: true,
            out: true,
            of: Origins::from([("a".into(), vec!["camera".into()])]),
            tries: 700,
            again: Some(Steady(90_001)),
            looked: Some(Steady(50_000)),
            since: moment(7),
            verified: moment(-3),
            ..Applied::new("ab", Outcome::Lost, when(20).at)
        };
        let back: Applied = serde_json::from_str(&serde_json::to_string(&full).unwrap()).unwrap();
        assert_eq!(back, Applied { again: Some(Steady(91_000)), ..full }, "to the second, and never due before");
        // As it lies in the store, where fields have places and no names.
        let passcode = |again| Passcode {
            said: Some(Said::Unmet),
            since: when(21).at,
            met: moment(-3),
            tries: 2,
            again,
            unread: Some("Error".into()),
        };
        let held = Applied { since: moment(20), ..Applied::new("ab", Outcome::Enforced, when(20).at) };
        for (row, kept, want) in [
            ("asked", Some(passcode(Some(Steady(90_001)))), Some(passcode(Some(Steady(91_000))))),
            ("asked again by somebody", Some(passcode(None)), Some(passcode(None))),
            ("never asked", None, None),
        ] {
            let bytes = rmp_serde::to_vec(&Applied { passcode: kept, ..held.clone() }).unwrap();
            let back: Applied = rmp_serde::from_slice(&bytes).unwrap();
            assert_eq!(back, Applied { passcode: want, ..held.clone() }, "{row}");
        }
        assert_eq!(Outcome::failed(&"é".repeat(500)), Outcome::Failed("é".repeat(Outcome::MAX_TEXT)));
    }
}
