//! A decision by memory where that is what the store would say, or where the store is away; else by the store.

use super::{
    decide::{Asked, Content, Decision, Place},
    gateway::Gateway,
    kept::Foreign,
    refusal::Refusal,
    remembered::{Terms, who},
};
use crate::{
    clock,
    error::{Error, Fault},
    fleet::registry::admitted::{Admitted, WITHOUT_STORE, Who},
    ids::DeviceId,
};
use lanyard_activesync::Command;
use std::{sync::Arc, time::Duration};

/// A store that takes longer to say what memory knows counts as away.
const PATIENCE: Duration = Duration::from_secs(3);

impl Gateway {
    /// Decides on a request by memory, where that is what the store would say or the store is away; else by the store.
    pub(super) async fn admit(&self, asked: &Asked, content: Content) -> Result<Decision, Refusal> {
        let now = self.server.now();
        let is_mail = !matches!(asked.head.command, Command::Provision | Command::Settings);
        let who = (asked.asker.proved && is_mail && matches!(content, Content::Unread))
            .then(|| who(&asked.asker, &asked.head));
        let Some((who, known)) = who.and_then(|who| Some((who, self.known(&who, asked)?))) else {
            let decided = self.decide(asked, content).await;
            self.outage.heard(is_away(&decided), clock::monotonic());
            return decided;
        };
        if self.server.presence.is_current()
            && known.is_recent(now)
            && let Some(decision) = self.by_memory(&who, known.device, asked)
        {
            return Ok(decision);
        }
        let asking = self.decide(asked, content.clone());
        // Apart: what memory serves is the rule.
        let decided = match Box::pin(tokio::time::timeout(PATIENCE, asking)).await {
            Ok(decided) => decided,
            Err(_late) => Err(Refusal::Fault(Error::Store(Fault::Away("it does not answer in time".into())))),
        };
        let since = self.outage.heard(is_away(&decided), clock::monotonic());
        let Some(since) = since else { return decided };
        let soon = clock::since(since) < WITHOUT_STORE && self.server.presence.was_current();
        let served = soon && known.holds(now);
        match served.then(|| self.by_memory(&who, known.device, asked)).flatten() {
            Some(decision) => Ok(decision),
            None => decided,
        }
    }

    /// The entry of whoever asks, where it speaks of such a request.
    fn known(&self, who: &Who, asked: &Asked) -> Option<Arc<Admitted>> {
        let known = self.server.presence.admitted(who)?;
        let terms = known.terms.downcast_ref::<Terms>()?;
        // A Ping needs no key.
        let fits = terms.presented == asked.head.key || asked.head.command == Command::Ping;
        (fits && terms.version == asked.head.version).then_some(known)
    }

    /// What memory says. It is looked at once more after the watch is set, which misses nothing from then on.
    fn by_memory(&self, who: &Who, device: DeviceId, asked: &Asked) -> Option<Decision> {
        let news = self.server.presence.watch(device).notified_owned();
        let known = self.known(who, asked)?;
        let terms = known.terms.downcast_ref::<Terms>()?;
        let place = Place {
            device: known.device,
            enrolment: known.enrolment,
            moved: terms.moved.clone(),
            foreign: Foreign { key: terms.key, ..Foreign::default() },
            model: None,
            told: None,
            ordered: None,
        };
        let now = self.server.now();
        let left = known.left(now);
        let waiting = terms.waiting.clone();
        Some(Decision { answer: None, stead: None, waiting, place, news, said: None, left })
    }
}

fn is_away<T>(decided: &Result<T, Refusal>) -> bool {
    matches!(decided, Err(Refusal::Fault(Error::Store(Fault::Away(_) | Fault::Busy))))
}
