//! Waking Apple devices through APNs: one connection under the push certificate; a push says nothing but that there is something.
//!
//! A push that is lost costs little: a wake is repeated until its command is answered.

use crate::{
    channel::apple::push_cert,
    error::{Error, Result},
    fleet::{
        keeper,
        life::{Channel, Device, Enrolment, EnrolmentState, Event, device::Push},
        settings,
    },
    http::{connector::Identity, h2::H2Connection},
    ids::{DeviceId, EnrolmentId, unhex},
    server::Server,
    store::Tx,
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use lanyard_apple::push::{PushRequest, Verdict, judge};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Mutex, Semaphore, broadcast::error::RecvError};
use tracing::Instrument;

/// APNs keeps the last push for a device that is off so long.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Pushes under way at once. APNs itself admits some hundreds on a connection; more wait.
const AT_ONCE: usize = 500;
/// Pauses before a push that APNs could not take now is tried again. After these the next wake is due anyway.
const BACK_OFF: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// The connection in use, and what it was made from.
type Current = Mutex<Option<(String, Arc<H2Connection>)>>;

/// A device to wake, with all that it takes.
struct Due {
    enrolment: EnrolmentId,
    push: Push,
    url: String,
    certificate: push_cert::Kept,
    expires: u64,
}

/// Listens for wakes until the server ends.
pub(in crate::channel) fn start(server: &Arc<Server>) {
    let (server, current) = (server.clone(), Arc::new(Current::default()));
    let (mut wakes, room) = (server.wakes.subscribe(), Arc::new(Semaphore::new(AT_ONCE)));
    tokio::spawn(async move {
        loop {
            let device = match wakes.recv().await {
                Ok(device) => device,
                // More wakes than anybody could push: the commands' own timers repeat them.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let (server, current) = (server.clone(), current.clone());
            let push = async move {
                if let Err(error) = wake(&server, &current, device).await {
                    tracing::warn!(%device, %error, "no push; the next wake tries again");
                }
                drop(permit);
            };
            tokio::spawn(push.instrument(tracing::debug_span!("wake", %device)));
        }
    });
}

async fn wake(server: &Server, current: &Current, device: DeviceId) -> Result<()> {
    let mut failed = Ok(());
    for due in server.store.run(move |tx| due(tx, device)).await? {
        // One that cannot be woken keeps no other of the device asleep.
        if let Err(error) = wake_one(server, current, device, &due).await {
            failed = failed.and(Err(error));
        }
    }
    if failed.is_err() {
        // It is looked at again soon: whoever still has something due is woken anew.
        server.follow_ups.note(device);
    }
    failed
}

async fn wake_one(server: &Server, current: &Current, device: DeviceId, due: &Due) -> Result<()> {
    for pause in BACK_OFF.into_iter().map(Some).chain([None]) {
        match push(server, current, due).await? {
            Verdict::Accepted => return Ok(()),
            Verdict::TokenRetired { since } => {
                let (enrolment, token) = (due.enrolment, due.push.token.clone());
                return server.store.run(move |tx| retire(tx, device, enrolment, &token, since)).await;
            }
            Verdict::OurFault(reason) => return Err(Error::Internal(format!("APNs: {reason}"))),
            Verdict::Retry => match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(Error::Internal("APNs takes no push now".into())),
            },
        }
    }
    Ok(())
}

/// What there is to push: to the enrolment that is managed, and to a former one for the wipe that it is owed. Nothing where nothing can
/// wake the device.
fn due(tx: &mut Tx<'_>, device: DeviceId) -> Result<Vec<Due>> {
    let Some(device) = tx.get::<Device>(device)? else { return Ok(Vec::new()) };
    let heard = |e: &&Enrolment| e.state == EnrolmentState::Enrolled || e.owed.is_some();
    let apple = device.enrolments.iter().filter(|e| e.channel == Channel::Apple).filter(heard);
    let pushes = |e: &Enrolment| -> Vec<(EnrolmentId, Push)> {
        let aside = e.renewal.as_ref().and_then(|renewal| renewal.push_aside());
        // What a renewed identity told may be the device's already.
        let both = [e.push.as_ref(), aside].into_iter().flatten().filter(|push| !push.retired);
        both.map(|push| (e.id, push.clone())).collect()
    };
    let pushes: Vec<_> = apple.flat_map(pushes).collect();
    let Some(certificate) = push_cert::show(tx)?.filter(|_| !pushes.is_empty()) else { return Ok(Vec::new()) };
    let url = settings::text(tx, "apple.push_url")?.unwrap_or_else(|| lanyard_apple::push::PRODUCTION.into());
    let expires = u64::try_from(tx.now().plus(KEPT).unix()).unwrap_or_default();
    let due = |(enrolment, push)| Due { enrolment, push, url: url.clone(), certificate: certificate.clone(), expires };
    Ok(pushes.into_iter().map(due).collect())
}

async fn push(server: &Server, current: &Current, due: &Due) -> Result<Verdict> {
    let connection = connection(server, current, due).await?;
    let token = unhex(&due.push.token).ok_or_else(|| Error::Internal("a push token cannot be read".into()))?;
    let wanted = PushRequest::new(&token, &due.push.magic, &due.certificate.topic, due.expires);
    let mut request = Request::builder().method(Method::POST).uri(wanted.path.expose());
    for (name, value) in wanted.headers {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(wanted.body.expose().clone()));
    let request = request.body(body).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(match connection.send(request).await {
        Ok(answer) => judge(answer.status().as_u16(), answer.body()),
        Err(error) => {
            tracing::info!(%error, "APNs");
            Verdict::Retry
        }
    })
}

/// The one connection; made anew when certificate or address change.
async fn connection(server: &Server, current: &Current, due: &Due) -> Result<Arc<H2Connection>> {
    let from = format!("{} {}", due.url, due.certificate.sha256);
    let mut current = current.lock().await;
    if let Some((_, connection)) = current.as_ref().filter(|(made_from, _)| *made_from == from) {
        return Ok(connection.clone());
    }
    let (chain, key) = push_cert::open(server, &due.certificate)?;
    let identity = Identity::from_der(chain, key);
    let made = H2Connection::new(&due.url, Some(identity), &server.roots);
    let connection = Arc::new(made.map_err(|e| Error::Internal(e.to_string()))?);
    *current = Some((from, connection.clone()));
    Ok(connection)
}

/// APNs says that the token is good for nothing: no more pushes until a TokenUpdate, unless one has come since.
fn retire(tx: &mut Tx<'_>, device: DeviceId, enrolment: EnrolmentId, token: &str, since: Option<u64>) -> Result<()> {
    let Some(device) = tx.get::<Device>(device)? else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    keeper::happen(tx, &mut device, Event::PushRetired { enrolment, token: token.into(), since })?;
    Ok(())
}
