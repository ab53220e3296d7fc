//! Promises about letters to people whose mail clients wait to be let in.

use super::*;
use lanyard::fleet::{
    enrol::{access, waiting},
    life::Access,
};

/// The client asks for something; a letter is written where none was.
async fn asks(fixture: &Fixture, id: DeviceId) {
    let ask = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let mail = device.enrolments.last().unwrap().id;
        if let Some(waiting) = waiting::look(tx, &mut device, mail)?
            && !waiting.over
            && !waiting.by_mail
        {
            waiting::write_letter(tx, &mut device, mail, &waiting)?;
        }
        Ok(())
    };
    fixture.store.run(ask).await.unwrap();
}

async fn taken(fixture: &Fixture) -> Vec<waiting::Letter> {
    let taken = fixture.store.run(|tx| waiting::take_letters(tx, 10)).await.unwrap();
    taken.into_iter().map(|(letter, _, _)| letter).collect()
}

async fn decided(fixture: &Fixture, id: DeviceId, access: Access) {
    let local = fixture.local().await;
    let set = move |tx: &mut Tx<'_>| access::set(tx, &local, &id.to_string(), None, access, "by hand").map(drop);
    fixture.store.run(set).await.unwrap();
}

pub async fn a_letter_is_tried_until_it_was_taken_and_only_while_its_client_waits(fixture: Fixture) {
    let waits = fixture.device("LETTER1", &[Channel::Activesync]).await.id;
    let allowed = fixture.device("LETTER2", &[Channel::Activesync]).await.id;
    for id in [waits, allowed] {
        decided(&fixture, id, Access::Quarantine).await;
        asks(&fixture, id).await;
        asks(&fixture, id).await;
    }
    assert_eq!(taken(&fixture).await.len(), 2, "one each, however often it asks");
    assert_eq!(taken(&fixture).await.len(), 0, "this node sends them");
    decided(&fixture, allowed, Access::Allow).await;
    if !fixture.pass(Duration::from_secs(121)) {
        return;
    }
    let again = taken(&fixture).await;
    assert_eq!(again.iter().map(|letter| letter.device).collect::<Vec<_>>(), [waits], "whoever was let in needs none");
    fixture.pass(Duration::from_secs(121));
    assert_eq!(taken(&fixture).await.len(), 0, "later each time");
    let letter = again.into_iter().next().unwrap();
    let posted = move |tx: &mut Tx<'_>| waiting::posted(tx, &letter);
    fixture.store.run(posted).await.unwrap();
    fixture.pass(Duration::from_secs(86_400));
    asks(&fixture, waits).await;
    assert_eq!(taken(&fixture).await.len(), 0, "it was taken");
    // Another time of waiting has a letter of its own.
    decided(&fixture, waits, Access::Allow).await;
    asks(&fixture, waits).await;
    decided(&fixture, waits, Access::Quarantine).await;
    asks(&fixture, waits).await;
    assert_eq!(taken(&fixture).await.len(), 1);
}
