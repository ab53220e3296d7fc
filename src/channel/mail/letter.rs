//! How the person hears whose client waits to be let in: by a letter, or in the client itself.

use super::who::Who;
use crate::{
    error::Result,
    fleet::enrol::waiting::{self, Waiting},
    server::smtp::is_address,
    store::Tx,
};

/// The waiting of a client that is heard, as it is by now. Where mail can be sent to its person a letter is written; who has no address
/// finds the message in the client's own inbox.
pub(super) fn look(tx: &mut Tx<'_>, who: &mut Who, by_mail: bool) -> Result<Option<Waiting>> {
    let Some(waiting) = waiting::look(tx, &mut who.device, who.enrolment)? else { return Ok(None) };
    if !by_mail || waiting.over || waiting.by_mail {
        return Ok(Some(waiting));
    }
    if is_address(&who.device.user) {
        return waiting::write_letter(tx, &mut who.device, who.enrolment, &waiting).map(Some);
    }
    if waiting.since == tx.now() {
        let (device, enrolment) = (who.device.id, who.enrolment);
        tx.log(move || {
            tracing::warn!(%device, %enrolment, "its user's name is no address: who waits is not told by mail, but in the client");
        });
    }
    Ok(Some(waiting))
}
