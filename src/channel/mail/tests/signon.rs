//! Certificates beside logins, and in their place.

use super::*;
use crate::{
    channel::certificates,
    fleet::enrol::{self, Issued},
    http::connector::Identity,
    ids::{digest, hex},
};
use lanyard_certs::keys::PrivateKey;
use secrecy::ExposeSecret as _;

/// A mail client with a certificate.
struct Holder {
    id: &'static str,
    client: Outgoing,
}

impl Site {
    /// A client that shows a certificate from an invitation for this user.
    async fn holder(&self, id: &'static str, user: &'static str) -> Holder {
        let key = PrivateKey::p256().unwrap();
        let public = key.public_der().unwrap();
        let invite = move |tx: &mut Tx<'_>, local: Actor| {
            let made = invitation::create(tx, &local, Channel::Activesync, user, Ownership::Corporate, None)?;
            Ok(made.invitation)
        };
        let invitation = self.run(invite).await;
        let (certificate, der) = certificates::issue(&self.server, &public, invitation.enrolment).unwrap();
        let issued = Issued { enrolment: invitation.enrolment, certificate, der: hex(&der) };
        self.run(move |tx, _| enrol::spend(tx, invitation.id, &digest(&public), issued)).await;
        let chain = vec![der, self.server.authority.issuing_der().to_vec()];
        let identity = Identity::from_der(chain, key.pkcs8_der().unwrap().expose_secret().to_vec());
        let roots = trusted_roots(&std::fs::read(self.folder.join("ca.pem")).unwrap()).unwrap();
        Holder { id, client: Outgoing::showing(&roots, Some(identity)).unwrap() }
    }
}

impl Holder {
    async fn send(&self, site: &Site, request: axum::http::request::Builder, path: &str) -> Response<Incoming> {
        let url = format!("{}{path}", site.server.public_url);
        self.client.send(request.uri(url).body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn options(&self, site: &Site, headers: &[(&str, &str)]) -> Response<Incoming> {
        let request = axum::http::Request::builder().method("OPTIONS");
        self.send(site, with(request, headers), super::super::PATH).await
    }

    async fn post(&self, site: &Site, command: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let path = format!("/Microsoft-Server-ActiveSync?Cmd={command}&DeviceId={}&DeviceType=iPhone&User=x", self.id);
        let request = axum::http::Request::post("/").header("MS-ASProtocolVersion", "14.1");
        self.send(site, with(request, headers), &path).await
    }

    async fn ask(&self, site: &Site, command: &str, headers: &[(&str, &str)]) -> Got {
        read(self.post(site, command, headers).await).await
    }
}

fn with(request: axum::http::request::Builder, headers: &[(&str, &str)]) -> axum::http::request::Builder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn text(answer: Response<Incoming>) -> (u16, String) {
    let status = answer.status().as_u16();
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_goes_with_its_own_users_login_alone() {
    let site = Site::new().await;
    // The mail server knows ANN as "ann" and "EX\ann" too: the right password of another user's, as far as anybody here can tell.
    let (bob, ann) = (site.holder("BOB1", "bob@example.org").await, site.holder("ANN1", ANN).await);
    for (row, holder, login, say) in [
        ("another's", &bob, ANN, "another user's"),
        ("it may be anybody's", &bob, "ann", "nothing says"),
        ("it may be anybody's", &ann, "EX\\ann", "nothing says"),
    ] {
        let login = basic(login, WORD);
        let said = [("authorization", login.as_str())];
        let refused = text(holder.post(&site, "FolderSync", &said).await).await;
        assert!(refused.0 == 403 && refused.1.contains(say), "{row}: {refused:?}");
        assert_eq!(holder.options(&site, &said).await.status(), 403, "{row}");
        let beside = with(axum::http::Request::get("/"), &said);
        assert_eq!(holder.send(&site, beside, "/owa/").await.status(), 403, "{row}");
    }
    assert_eq!(site.came_through(), [""; 0]);
    let login = basic("EX\\ann", WORD);
    site.run(|tx, local| settings::set(tx, &local, "eas.domain", "example.org")).await;
    assert_eq!(ann.ask(&site, "FolderSync", &[("authorization", &login)]).await, passed());
    assert_eq!(bob.ask(&site, "FolderSync", &[("authorization", &login)]).await, Got::Http(403));
    site.end().await;
}
