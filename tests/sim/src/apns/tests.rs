//! The stand-in seen by an HTTP/2 client of this crate.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;

use super::*;
use crate::apple::{AppleDevice, Facts, Kind};
use crate::http::{Settings, tls_config};
use crate::world::World;

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn dial(apns: &Apns, identity: Option<&Identity>) -> Result<Sender> {
    let roots = Arc::new(roots(&apns.ca_pem()?)?);
    let config = tls_config(roots, identity, &[b"h2"], false)?;
    let tcp = tokio::net::TcpStream::connect(apns.listener.addr).await.map_err(Error::io("dial"))?;
    let name = ServerName::try_from("localhost").map_err(|e| Error::Tls(e.to_string()))?;
    let tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await;
    let tls = tls.map_err(|e| Error::Tls(e.to_string()))?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await;
    let (sender, connection) = handshake.map_err(|source| Error::Http { what: "dial", source })?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn push(sender: &mut Sender, token: &str, topic: &str, magic: &str) -> (u16, String) {
    let request = http::Request::post(format!("https://localhost/3/device/{token}"))
        .header("apns-topic", topic)
        .header("apns-push-type", "mdm")
        .body(Full::from(format!("{{\"mdm\":\"{magic}\"}}")))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_push_wakes_its_device_and_no_other() {
    let apns = Apns::start().await.unwrap();
    let world = World::new(&apns.ca_pem().unwrap(), apns.listener.addr, "", "").unwrap();
    let phone = || AppleDevice::new(Facts::random(Kind::IPhone), &world, Settings::default()).unwrap();
    let (phone, other) = (phone(), phone());
    let (mut woken, mut asleep) = (apns.register(phone.push()), apns.register(other.push()));
    let identity = apns.push_certificate().unwrap();
    let topic = topic_of(identity.chain.first().unwrap()).unwrap();
    let mut sender = dial(&apns, Some(&identity)).await.unwrap();
    let (token, magic) = (phone.push().token_hex(), phone.push().magic.clone());

    assert_eq!(push(&mut sender, &token, &topic, &magic).await, (200, String::new()));
    assert_eq!((woken.try_recv(), asleep.try_recv().is_err()), (Ok(()), true));
    assert_eq!(push(&mut sender, &token, "com.apple.mgmt.Other", &magic).await.0, 400);
    assert_eq!(push(&mut sender, &token, &topic, "another magic").await.0, 400);
    apns.refuse_next(&[429]);
    assert_eq!(push(&mut sender, &token, &topic, &magic).await.0, 429);
    apns.forget(phone.push());
    let (status, body) = push(&mut sender, &token, &topic, &magic).await;
    assert!(status == 410 && body.contains("Unregistered"), "{status} {body}");
    assert!(apns.pushes().iter().all(|p| p.connection == 1));
}

#[tokio::test]
async fn without_a_certificate_of_its_authority_nobody_pushes() {
    let apns = Apns::start().await.unwrap();
    for identity in [None, Some(Identity::self_made("stranger").unwrap())] {
        // TLS 1.3 tells a client of its refusal only once it reads.
        let Ok(mut sender) = dial(&apns, identity.as_ref()).await else { continue };
        let request = http::Request::post("https://localhost/3/device/00").body(Full::default()).unwrap();
        assert!(sender.send_request(request).await.is_err());
    }
    assert!(apns.pushes().is_empty());
}
