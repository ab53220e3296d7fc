//! Mail apps against the server with no gateway between them.

use super::*;
use crate::error::Error;
use crate::http::Settings;
use crate::keys::Authority;
use crate::mail::{Facts, MailClient, PingEnd, Verdict};
use crate::world::World;

async fn pair() -> (MailServer, World) {
    let server = MailServer::start(0).await.unwrap();
    server.set_user("Anna@Example.org", "secret");
    let ca = Authority::new("unused").unwrap().ca_pem().unwrap();
    let url = format!("http://{}", server.listener.addr);
    let world = World::new(&ca, server.listener.addr, &url, &url).unwrap();
    (server, world)
}

fn client(world: &World, facts: Facts) -> MailClient {
    let mut client = MailClient::new(facts, world, Settings::default()).unwrap();
    // This server has no policies.
    client.provisions_first = false;
    client
}

#[tokio::test]
async fn mail_arrives_while_a_ping_is_held() {
    let (server, world) = pair().await;
    let mut client = client(&world, Facts::iphone("APPL1", "anna@example.org", "secret"));
    assert_eq!(client.check_mail().await.unwrap(), Verdict::Taken);
    assert_eq!((client.version(), client.mail()), (Some((16, 1)), &["Welcome".to_owned()][..]));
    assert_eq!(client.folders().get("5").map(String::as_str), Some("Inbox"));
    let (end, ()) = tokio::join!(client.ping(), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.deliver("anna@example.org", "Lunch");
    });
    assert_eq!(end.unwrap(), PingEnd::Changes);
    client.check_mail().await.unwrap();
    assert_eq!(client.mail(), &["Welcome".to_owned(), "Lunch".to_owned()][..]);
    assert_eq!(server.devices().keys().collect::<Vec<_>>(), ["APPL1"]);
}

#[tokio::test]
async fn the_newest_common_version_is_spoken_and_a_wrong_password_is_not_let_in() {
    let (server, world) = pair().await;
    server.set_versions("2.5,12.0,12.1,14.0,14.1");
    let mut iphone = client(&world, Facts::iphone("APPL1", "anna@example.org", "secret"));
    assert_eq!(iphone.options().await.unwrap(), (14, 1));
    let mut stranger = client(&world, Facts::android("anna@example.org", "guessed"));
    assert_eq!(stranger.check_mail().await.unwrap_err().status(), Some(401));
    server.set_user("anna@example.org", "guessed");
    assert_eq!(stranger.check_mail().await.unwrap(), Verdict::Taken);
    assert!(matches!(iphone.check_mail().await, Err(Error::Status { status: 401, .. })));
}
