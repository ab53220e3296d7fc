//! Which server is meant: its URLs, whom to trust, and where its names lead.

use super::{Channel, Options};
use crate::{
    cli::{Failure, given_roots, print},
    http::connector::trusted_roots,
    serve::Folder,
};
use lanyard_sim::{Act, Ledger, World};
use rustls::RootCertStore;
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::mpsc::UnboundedReceiver};

/// A server that runs on this machine is reached by its name within this, or not at all.
const REACHED: Duration = Duration::from_secs(5);

/// What a server on this machine says of itself in `server.json`.
#[derive(Deserialize)]
struct Local {
    device: SocketAddr,
    public_url: String,
    enrol_url: String,
}

/// The world in which the devices live, and what they do in it.
pub(super) async fn find(options: &Options) -> Result<(World, UnboundedReceiver<Act>), Failure> {
    let folder = Folder::existing(options.data.as_deref());
    let local = local(&folder)?;
    let (public, enrol, local) = match (&options.url, local) {
        (Some(url), local) => {
            let origin = origin(url)?;
            let known = local.filter(|local| [&local.public_url, &local.enrol_url].contains(&&origin));
            let public = known.as_ref().map_or_else(|| origin.clone(), |local| local.public_url.clone());
            (public, origin, known)
        }
        (None, Some(local)) => (local.public_url.clone(), local.enrol_url.clone(), Some(local)),
        (None, None) => return Err(unnamed(options.channel, &folder)),
    };
    let (ledger, acts) = Ledger::followed();
    let world = World { ledger, ..World::by_names(roots(options, &folder)?, &public, &enrol) };
    if let Some(local) = local {
        for url in [&public, &enrol] {
            if !leads_somewhere(url).await {
                let device = local.device;
                print::say(format!(
                    "{url} is not reached from this machine by its name: the server is asked at {device} instead"
                ));
                return Ok((world.and_at(device), acts));
            }
        }
    }
    Ok((world, acts))
}

fn local(folder: &Folder) -> Result<Option<Local>, Failure> {
    let Some(text) = folder.read("server.json")? else { return Ok(None) };
    let local = serde_json::from_str::<Local>(&text);
    Ok(Some(local.map_err(|e| format!("{}: {e}", folder.path("server.json").display()))?))
}

/// `https://NAME[:PORT]` of a URL.
pub(super) fn origin(url: &str) -> Result<String, Failure> {
    let parsed = url.parse::<http::Uri>().ok().filter(|uri| uri.scheme_str() == Some("https"));
    match parsed.as_ref().and_then(http::Uri::authority) {
        Some(authority) => Ok(format!("https://{authority}")),
        None => Err(Failure::Usage(format!("--url: {url:?} is not https://NAME…"))),
    }
}

fn unnamed(channel: Channel, folder: &Folder) -> Failure {
    let flag = if channel == Channel::Activesync { "--public-url" } else { "--enrol-url" };
    let path = folder.path("server.json");
    Failure::Failed(format!(
        "no server runs from this data folder (there is no {}): name it by --url, as `lanyard serve {flag}` has it, or its folder by --data",
        path.display()
    ))
}

/// Those of `--ca` or LANYARD_CA, else of the data folder; the system's in any case.
fn roots(options: &Options, folder: &Folder) -> Result<Arc<RootCertStore>, Failure> {
    let set = std::env::var_os("LANYARD_CA").filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = options.ca.clone().or(set) else {
        let kept = folder.read("ca.pem")?.unwrap_or_default();
        let roots = trusted_roots(kept.as_bytes());
        return Ok(roots.map_err(|e| format!("{}: {e}", folder.path("ca.pem").display()))?);
    };
    Ok(given_roots(&path).map_err(|e| format!("--ca {}: {e}", path.display()))?)
}

/// Whether the name is known, and something listens where it leads. Behind a firewall the way out and in again often does not exist.
async fn leads_somewhere(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let connect = TcpStream::connect((host, uri.port_u16().unwrap_or(443)));
    tokio::time::timeout(REACHED, connect).await.is_ok_and(|connected| connected.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_name_under_https() {
        for (url, want) in [
            ("https://mdm.example.org/enroll/abc", Some("https://mdm.example.org")),
            ("https://mdm.example.org:8443", Some("https://mdm.example.org:8443")),
            ("https://[::1]:8443/enroll/x/profile", Some("https://[::1]:8443")),
            ("http://mdm.example.org", None),
            ("mdm.example.org", None),
            ("", None),
        ] {
            assert_eq!(origin(url).ok().as_deref(), want, "{url}");
        }
    }
}
