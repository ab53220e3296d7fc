//! Requests of our own to the mail server in a client's name, as that client would send them.

use super::{
    gateway::Gateway,
    login::Login,
    upstream::{self, POLICY_KEY, Patience},
};
use crate::http::forwarded::X_FORWARDED_FOR;
use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, StatusCode, Uri, header},
};
use lanyard_activesync::{Command, PolicyKey, Request as Head, status::CONTENT_TYPE};
use std::{net::IpAddr, time::Duration};

/// Bytes of an answer that are read.
const ANSWER: usize = 256 * 1024;
/// How long the mail server may take for its answer: the client waits meanwhile.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// No answer came: another time it may.
pub(super) const NO_ANSWER: &str = "no answer";

/// In whose name a request is made.
pub(super) struct Client<'a> {
    /// Its own request.
    pub(super) head: &'a Head,
    /// From where that comes.
    pub(super) address: IpAddr,
    /// As it names itself.
    pub(super) agent: Option<&'a str>,
}

impl Gateway {
    /// The body of the mail server's answer, or why there is none.
    pub(super) async fn own_request(
        &self,
        server: &Uri,
        login: &Login,
        client: &Client<'_>,
        command: Command,
        key: Option<PolicyKey>,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, &'static str> {
        let head = client.head;
        let user = login.typed().or(head.user.as_deref()).unwrap_or_default();
        let query = format!(
            "Cmd={command}&User={}&DeviceId={}&DeviceType={}",
            percent(user),
            percent(head.device_id.as_str()),
            percent(&head.device_type)
        );
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = upstream::address(server, Some(&query)).ok_or("no address")?;
        login.put(&mut request);
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert("ms-asprotocolversion", HeaderValue::from_static(head.version.as_str()));
        headers.insert(POLICY_KEY, HeaderValue::from(key.map_or(0, PolicyKey::get)));
        if let Ok(address) = HeaderValue::try_from(client.address.to_string()) {
            headers.insert(X_FORWARDED_FOR, address);
        }
        if let Some(agent) = client.agent.and_then(|agent| HeaderValue::from_str(agent).ok()) {
            headers.insert(header::USER_AGENT, agent);
        }
        let whole = async {
            let sent = self.send_followed(request, body.into(), Patience(ANSWER_TIME)).await;
            let (_, answer) = sent.map_err(|_| NO_ANSWER)?;
            if answer.status() != StatusCode::OK {
                return Err("refused by HTTP");
            }
            let body = axum::body::to_bytes(Body::new(answer.into_body()), ANSWER).await;
            body.map(Vec::from).map_err(|_| "no whole answer")
        };
        tokio::time::timeout(ANSWER_TIME, whole).await.unwrap_or(Err(NO_ANSWER))
    }
}

/// Percent-encoding of all but letters, digits and what never needs it.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_into_a_query_whole() {
        assert_eq!(percent("D\\u ä@e.org"), "D%5Cu%20%C3%A4%40e.org");
    }
}
