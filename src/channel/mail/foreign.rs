//! A mail server with a policy of its own: it asks for a key as we do. The gateway provisions with it in the client's name and sends
//! its key along; the client, refused once, comes to us first and then again. What the device must have is for our policy to say.

use super::{
    decide::{Asked, Place},
    gateway::Gateway,
    kept::{FOREIGN, Foreign},
    refusal::Refusal,
    upstream::{self, POLICY_KEY},
};
use crate::{
    fleet::{keeper, life::Event},
    store::Tx,
};
use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, StatusCode, header},
    response::Response,
};
use hyper::body::Body as _;
use lanyard_activesync::{
    PolicyKey, Version,
    pages::{self, provision as tag},
    provision::{self, Body as Said, PolicyOutcome, PolicyType},
    settings::DeviceInformation,
    status::CONTENT_TYPE,
};
use lanyard_wbxml::{Element, Limits};
use std::time::Duration;

/// A mail server that goes on refusing is not provisioned with at each command.
const PAUSE: Duration = Duration::from_secs(60);
/// A refusal is a status in its command's root element: longer documents are none.
const REFUSAL: u64 = 64;
const ANSWER: usize = 256 * 1024;

impl Gateway {
    /// The answer as it is; where it asks for the mail server's own key, that is fetched for the next request.
    pub(super) async fn after_refusal(&self, asked: &Asked, at: &Place, answer: Response) -> Result<Response, Refusal> {
        let (refused, answer) = asks_for_key(asked.head.version, answer).await?;
        let now = self.server.now();
        if !refused || at.foreign.as_ref().is_some_and(|before| now.since(before.at) < PAUSE) {
            return Ok(answer);
        }
        let key = match self.fetch_key(asked, at).await {
            Ok(key) => key,
            Err(why) => {
                tracing::warn!(enrolment = %at.enrolment, why, "the mail server asks for a policy key and gave none");
                None
            }
        };
        self.keep_key(at, Foreign { key, at: now }).await?;
        Ok(answer)
    }

    async fn keep_key(&self, at: &Place, foreign: Foreign) -> Result<(), Refusal> {
        let (device, enrolment) = (at.device, at.enrolment);
        let text = serde_json::to_string(&foreign).map_err(|e| crate::error::Error::Internal(e.to_string()))?;
        let note = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            keeper::happen(tx, &mut device, Event::Noted { enrolment, name: FOREIGN, value: Some(text) })?;
            Ok(())
        };
        Ok(self.server.store.run(note).await?)
    }

    /// Both phases of Provision, in the client's name.
    async fn fetch_key(&self, asked: &Asked, at: &Place) -> Result<Option<PolicyKey>, &'static str> {
        let kind = || if asked.head.version == Version::V2_5 { PolicyType::Xml } else { PolicyType::Wbxml };
        let model = at.model.clone().unwrap_or_else(|| asked.head.device_type.clone());
        let information = DeviceInformation { model: Some(model), ..DeviceInformation::default() };
        let information = asked.head.version.wants_device_information().then_some(information);
        let first = provision::Request { device_information: information, body: Said::Policy(kind()) };
        let Some(temporary) = self.provision(asked, at, None, &first).await? else { return Ok(None) };
        let said = Said::Ack { kind: kind(), key: temporary.get(), outcome: Some(PolicyOutcome::Applied) };
        let second = provision::Request { device_information: None, body: said };
        self.provision(asked, at, Some(temporary), &second).await
    }

    async fn provision(
        &self,
        asked: &Asked,
        at: &Place,
        key: Option<PolicyKey>,
        body: &provision::Request,
    ) -> Result<Option<PolicyKey>, &'static str> {
        let server = at.moved.as_ref().or(self.server.eas_upstream.as_ref()).ok_or("no mail server")?;
        let login = asked.login.as_ref().ok_or("no login")?;
        let user = login.user().or(asked.head.user.as_deref()).unwrap_or_default();
        let query = format!(
            "Cmd=Provision&User={}&DeviceId={}&DeviceType={}",
            percent(user),
            percent(asked.head.device_id.as_str()),
            percent(&asked.head.device_type)
        );
        let mut request = Request::new(Body::from(body.encode()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = upstream::address(server, Some(&query)).ok_or("no address")?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, login.value().clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert("ms-asprotocolversion", HeaderValue::from_static(asked.head.version.as_str()));
        headers.insert(POLICY_KEY, HeaderValue::from(key.map_or(0, PolicyKey::get)));
        let answer = self.send(request).await.map_err(|_| "no answer")?;
        if answer.status() != StatusCode::OK {
            return Err("refused by HTTP");
        }
        let bytes = axum::body::to_bytes(Body::new(answer.into_body()), ANSWER).await.map_err(|_| "no whole answer")?;
        read(&bytes)
    }
}

/// The key in an answer to Provision; `None` where there is no policy.
fn read(bytes: &[u8]) -> Result<Option<PolicyKey>, &'static str> {
    let root = lanyard_wbxml::decode(bytes, &pages::PAGES, &Limits::SMALL).map_err(|_| "no WBXML")?.root;
    if [tag::REMOTE_WIPE, tag::ACCOUNT_ONLY_REMOTE_WIPE].iter().any(|wipe| root.child(*wipe).is_some()) {
        return Err("it asks for a wipe, which is for the administrators here to decide");
    }
    let policy = root.path(&[tag::POLICIES, tag::POLICY]).ok_or("no policy in its answer")?;
    match policy.child_text(tag::STATUS).map(str::trim) {
        Some("1") => {
            let key = policy.child_text(tag::POLICY_KEY).and_then(|key| key.trim().parse().ok());
            key.and_then(PolicyKey::new).map(Some).ok_or("no key in its answer")
        }
        Some("2") => Ok(None),
        _ => Err("it refused the policy's request"),
    }
}

/// Whether the mail server refuses for want of a key of its own. The answer comes back whole.
async fn asks_for_key(version: Version, answer: Response) -> Result<(bool, Response), Refusal> {
    let short = answer.body().size_hint().upper().is_some_and(|most| most > 0 && most <= REFUSAL);
    let document = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| kind.to_ascii_lowercase().starts_with("application/vnd.ms-sync"))
    });
    if answer.status().as_u16() == 449 {
        return Ok((true, answer));
    }
    if !(version.has_common_status() && short && document && answer.status() == StatusCode::OK) {
        return Ok((false, answer));
    }
    let (head, body) = answer.into_parts();
    let bytes = axum::body::to_bytes(body, ANSWER).await.map_err(|_| Refusal::Away)?;
    let root = lanyard_wbxml::decode(&bytes, &pages::PAGES, &Limits::SMALL).map(|document| document.root);
    let status = root.ok().and_then(|root| root.child_named("Status").and_then(Element::text).map(str::to_string));
    let refused = status.is_some_and(|status| ["141", "142", "143", "144"].contains(&status.trim()));
    Ok((refused, Response::from_parts(head, Body::from(bytes))))
}

/// Percent-encoding of all but letters, digits and what never needs it.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanyard_activesync::{policy::ProvisionDoc, provision::Reply};

    #[test]
    fn a_mail_servers_answer_to_provision_is_read() {
        let request = provision::Request { device_information: None, body: Said::Policy(PolicyType::Wbxml) };
        let said = |reply: Reply| read(&reply.answer(&request, Version::V14_1, &ProvisionDoc::default()).body);
        let key = PolicyKey::new(7).unwrap();
        assert_eq!(said(Reply::Policy(key)), Ok(Some(key)));
        assert_eq!(said(Reply::Key(key)), Ok(Some(key)));
        let none = Element::of(tag::POLICY, [Element::text_of(tag::STATUS, "2")]);
        let none = Element::of(tag::PROVISION, [Element::of(tag::POLICIES, [none])]);
        assert_eq!(read(&lanyard_wbxml::encode(&lanyard_wbxml::Header::ACTIVESYNC, &none)), Ok(None));
        for reply in [Reply::Wipe(provision::WipeScope::Device), Reply::WrongKey, Reply::Ok] {
            assert!(said(reply).is_err(), "{reply:?}");
        }
        assert_eq!(percent("D\\u ä@e.org"), "D%5Cu%20%C3%A4%40e.org");
    }
}
