//! The listeners' certificate: files that someone renews, or a leaf of our own CA, renewed here at two thirds of its life.

use crate::{
    clock::{Clock, Timestamp},
    http::{
        ServerCertificate,
        connector::trusted_roots,
        fitness::{ends_soon, unfit},
        server_certificate::CertificateFiles,
    },
    server::{Server, host},
};
use lanyard_certs::issue::{AltName, Identity, Serial, ServerCertificate as Wanted, Validity};
use openssl::{pkey::PKey, x509::X509};
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// Two thirds of 397 days.
const RENEW: Duration = Duration::from_secs(264 * 86_400);
/// How often it is looked whether the clock was set.
const MINUTE: Duration = Duration::from_secs(60);
/// A clock that moved by more asks for another leaf.
const MOVED: Duration = Duration::from_secs(3600);
/// Clients' clocks may be behind ours.
const BEHIND: time::Duration = time::Duration::days(1);
const LIFE: time::Duration = time::Duration::days(396);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(3);

fn names(server: &Server) -> Vec<String> {
    vec![host(&server.public_url).to_string(), host(&server.enrol_url).to_string()]
}

/// From files that someone renews, looked at from now on. They must cover the names of both addresses. What clients will not take is
/// only warned of here, since a server that stays down wipes nobody; at an exchange such files are refused, and the former stay.
pub(super) fn of_files(server: &Arc<Server>, chain: PathBuf, key: PathBuf) -> Result<Arc<ServerCertificate>, String> {
    let files = CertificateFiles { chain, key, names: names(server) };
    let certificate = files.load().map_err(|e| format!("--tls-cert: {e}"))?;
    let public = trusted_roots(&[]).map_err(|e| e.to_string())?;
    let in_use = certificate.chain();
    for wrong in unfit(&in_use, &public, server.now()) {
        tracing::warn!("--tls-cert: clients will not take the certificate: {wrong}");
    }
    warn_of_end(&in_use, server.now());
    let server = server.clone();
    let judge = move |chain: &[CertificateDer<'_>]| {
        let wrong = unfit(chain, &public, server.now());
        if wrong.is_empty() {
            warn_of_end(chain, server.now());
        }
        wrong
    };
    tokio::spawn(files.watch(certificate.clone(), LOOK, judge));
    Ok(certificate)
}

fn warn_of_end(chain: &[CertificateDer<'_>], now: Timestamp) {
    if let Some(until) = chain.first().and_then(|leaf| ends_soon(leaf, now)) {
        tracing::warn!(%until, "--tls-cert: the certificate ends within 30 days");
    }
}

/// A leaf of our own CA, kept fresh from now on. The administrators' listener has no other: `ca.pem` is its anchor.
pub(super) fn of_our_own(server: &Arc<Server>, clock: Clock) -> Result<Arc<ServerCertificate>, String> {
    let names = names(server);
    let (chain, key) = own(server, &clock)?;
    let certificate = ServerCertificate::from_pem(&chain, &key, &names).map_err(|e| e.to_string())?;
    let (server, kept) = (server.clone(), certificate.clone());
    tokio::spawn(async move {
        let mut made = Made::now(&server, &clock);
        loop {
            tokio::time::sleep(MINUTE).await;
            if !made.is_over(Made::now(&server, &clock)) {
                continue;
            }
            let renewed = own(&server, &clock);
            match renewed.and_then(|(chain, key)| kept.swap(&chain, &key, &names).map_err(|e| e.to_string())) {
                Ok(()) => made = Made::now(&server, &clock),
                Err(error) => tracing::error!(%error, "the server's certificate could not be renewed"),
            }
        }
    });
    Ok(certificate)
}

/// The clocks when a leaf was made.
#[derive(Debug, Clone, Copy)]
struct Made {
    uptime: Duration,
    wall: Timestamp,
    doubted: bool,
}

impl Made {
    fn now(server: &Server, clock: &Clock) -> Self {
        Self { uptime: clock.uptime(), wall: clock.wall(), doubted: server.store.time().doubted }
    }

    /// Whether another leaf is due: by its age, or since the clock was set or is believed now.
    fn is_over(self, now: Self) -> bool {
        let passed = now.uptime.saturating_sub(self.uptime);
        let expected = self.wall.plus(passed);
        let moved = expected.since(now.wall).max(now.wall.since(expected));
        passed >= RENEW || moved > MOVED || self.doubted != now.doubted
    }
}

/// Good by the clock as it is believed and by what it shows: administrators must come in to say which one is right.
fn validity(believed: Timestamp, shown: Timestamp) -> Validity {
    let (from, to) = (believed.min(shown).to_datetime(), believed.max(shown).to_datetime());
    Validity { not_before: from - BEHIND, not_after: to + LIFE }
}

/// A new leaf with its chain and key, PEM.
fn own(server: &Server, clock: &Clock) -> Result<(Vec<u8>, Vec<u8>), String> {
    let mut names: Vec<AltName> = Vec::new();
    let hosts = [host(&server.public_url), host(&server.enrol_url), "localhost"].map(alt_name);
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].map(AltName::Ip);
    for name in hosts.into_iter().chain(loopback) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let wanted = Wanted {
        names: &names,
        crl_url: None,
        validity: validity(server.now(), clock.wall()),
        serial: Serial::random().map_err(|e| e.to_string())?,
    };
    let Identity { certificate_der, key } = server.authority.issue_server(&wanted).map_err(|e| e.to_string())?;
    let leaf = X509::from_der(&certificate_der).and_then(|x| x.to_pem()).map_err(|e| e.to_string())?;
    let chain = [leaf, server.authority.issuing_pem().into_bytes()].concat();
    let der = key.pkcs8_der().map_err(|e| e.to_string())?;
    let key = PKey::private_key_from_der(der.expose_secret()).and_then(|k| k.private_key_to_pem_pkcs8());
    Ok((chain, key.map_err(|e| e.to_string())?))
}

fn alt_name(host: &str) -> AltName {
    host.parse().map_or_else(|_| AltName::Dns(host.to_string()), AltName::Ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_leaf_is_good_by_both_clocks() {
        let years = 1095 * DAY;
        for (row, believed, shown) in
            [("right", 0, 0), ("ahead", 0, years), ("back", years, 0), ("a bit behind", 0, -1)]
        {
            let validity = validity(Timestamp(4 * years + believed), Timestamp(4 * years + shown));
            for at in [believed, shown] {
                let at = Timestamp(4 * years + at).to_datetime();
                assert!(validity.not_before < at && at + time::Duration::days(300) < validity.not_after, "{row}");
            }
        }
    }

    #[test]
    fn another_leaf_is_due_when_the_clock_was_set_or_is_believed() {
        let made = |uptime: u64, wall: i64, doubted| Made {
            uptime: Duration::from_secs(uptime),
            wall: Timestamp(wall * 1000),
            doubted,
        };
        let begun = made(0, 1_000_000, false);
        for (row, now, due) in [
            ("time goes by", made(7200, 1_007_200, false), false),
            ("set by a minute", made(7200, 1_007_260, false), false),
            ("set ahead", made(60, 1_010_060, false), true),
            ("set back", made(60, 900_000, false), true),
            ("doubted", made(60, 1_000_060, true), true),
            ("two thirds of its life", made(264 * 86_400, 1_000_000 + 264 * 86_400, false), true),
        ] {
            assert_eq!(begun.is_over(now), due, "{row}");
        }
    }
}
