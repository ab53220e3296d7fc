//! Walks over what may be over and has it forgotten: some records every few seconds, beside the writer, and round again.

use super::{Server, rounds::every};
use crate::{
    error::Result,
    fleet::{
        audit::recurring::Recurring,
        enrol::{
            invitation::{Invitation, Way},
            succession::Succession,
            under_way::Key,
        },
        life::Command,
        registry::{credential::Revocation, journal::Journal, lookup::Name},
        retention::{self, Ends},
        wipe::Approval,
    },
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Between two steps: some four million records of each kind in a day.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) fn start(server: &Arc<Server>) {
    walk::<Command>(server, "forgetting ended commands");
    walk::<Invitation>(server, "forgetting invitations");
    walk::<Key>(server, "ending installs that were not finished");
    walk::<Succession>(server, "ending former records of a device");
    walk::<Way>(server, "forgetting ways to invitations");
    walk::<Approval>(server, "forgetting approvals");
    walk::<Revocation>(server, "forgetting revocations");
    walk::<Journal>(server, "forgetting what devices said");
    walk::<Name>(server, "forgetting former names of devices");
    walk::<Recurring>(server, "forgetting what has not come again");
}

fn walk<R: Ends + 'static>(server: &Arc<Server>, name: &'static str) {
    let place = Arc::new(Mutex::new(None));
    every(server, name, PAUSE, move |server| step::<R>(server, place.clone()));
}

/// The next records; `place` is where the walk has come to.
async fn step<R: Ends + 'static>(server: Arc<Server>, place: Arc<Mutex<Option<String>>>) -> Result<()> {
    let after = place.lock().map(|place| place.clone()).unwrap_or_default();
    let (over, next) = server.store.read(move |tx| retention::look::<R>(tx, after.as_deref())).await?;
    if !over.is_empty() {
        server.store.run(move |tx| retention::forget::<R>(tx, &over)).await?;
    }
    if let Ok(mut place) = place.lock() {
        *place = next;
    }
    Ok(())
}
