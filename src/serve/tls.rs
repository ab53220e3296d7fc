//! The listeners' certificate: files that someone renews, or a leaf of our own CA, renewed here at two thirds of its life.

use crate::{
    http::{ServerCertificate, server_certificate::CertificateFiles},
    server::{Server, host},
};
use lanyard_certs::issue::{AltName, Identity, Serial, ServerCertificate as Wanted, Validity};
use openssl::{pkey::PKey, x509::X509};
use secrecy::ExposeSecret;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// Two thirds of 397 days.
const RENEW: Duration = Duration::from_secs(264 * 86_400);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(3);

fn names(server: &Server) -> Vec<String> {
    vec![host(&server.public_url).to_string(), host(&server.enrol_url).to_string()]
}

/// From files that someone renews, looked at from now on. They must cover the names of both addresses.
pub(super) fn of_files(server: &Server, chain: PathBuf, key: PathBuf) -> Result<Arc<ServerCertificate>, String> {
    let files = CertificateFiles { chain, key, names: names(server) };
    let certificate = files.load().map_err(|e| format!("--tls-cert: {e}"))?;
    tokio::spawn(files.watch(certificate.clone(), LOOK));
    Ok(certificate)
}

/// A leaf of our own CA, kept fresh from now on. The administrators' listener has no other: `ca.pem` is its anchor.
pub(super) fn of_our_own(server: &Arc<Server>) -> Result<Arc<ServerCertificate>, String> {
    let names = names(server);
    let (chain, key) = own(server)?;
    let certificate = ServerCertificate::from_pem(&chain, &key, &names).map_err(|e| e.to_string())?;
    let (server, kept) = (server.clone(), certificate.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEW).await;
            let swapped =
                own(&server).and_then(|(chain, key)| kept.swap(&chain, &key, &names).map_err(|e| e.to_string()));
            if let Err(error) = swapped {
                tracing::error!(%error, "the server's certificate could not be renewed");
            }
        }
    });
    Ok(certificate)
}

/// A new leaf with its chain and key, PEM.
fn own(server: &Server) -> Result<(Vec<u8>, Vec<u8>), String> {
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
        validity: Validity::server(server.now().to_datetime()),
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
