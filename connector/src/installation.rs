//! An installation's folder: who it is and where it calls (`connector.json`, no secret), its certificate (`identity.pem`), its secrets, its journal.

use crate::{
    http::{self, HttpError},
    platform,
    roots::Roots,
    secrets::{Name, Secrets},
};
use ::http::Uri;
use lanyard_exchange::calls::Kind;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// Who it is and where it calls.
pub const SETTINGS: &str = "connector.json";
/// Its key and its certificate.
pub const IDENTITY: &str = "identity.pem";
const RUNNING: &str = "running.lock";

/// `connector.json`. Addresses and ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Settings {
    pub instance: Uuid,
    /// None before its code was taken.
    pub org: Option<String>,
    pub kind: Kind,
    /// The server's address.
    pub server: String,
    /// Further roots, PEM, for both sides.
    pub ca: String,
    /// The server's own, PEM: not trusted for Exchange.
    #[serde(default)]
    pub server_ca: String,
    pub online: Option<OnlineSettings>,
    pub onprem: Option<OnpremSettings>,
    /// Before Exchange.
    pub proxy: Option<ProxySettings>,
    /// Before the server.
    pub server_proxy: Option<ProxySettings>,
}

/// Which tenant, and as which application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct OnlineSettings {
    pub tenant: Uuid,
    pub app: Uuid,
    pub exchange: String,
    pub login: String,
}

/// Which server, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct OnpremSettings {
    pub host: String,
    pub user: String,
    pub powershell: Option<PathBuf>,
}

/// A proxy; its password is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ProxySettings {
    pub url: String,
    pub user: Option<String>,
}

/// The folder: as it is given, else by the environment, else the system's.
pub fn folder(given: Option<PathBuf>) -> PathBuf {
    given.or_else(|| std::env::var_os("LANYARD_CONNECTOR").map(PathBuf::from)).unwrap_or_else(platform::default_folder)
}

/// See the module.
pub struct Installation {
    /// Where it lies.
    pub folder: PathBuf,
    /// `connector.json`.
    pub settings: Settings,
    /// What is sealed.
    pub secrets: Secrets,
}

/// A key and the chain that goes with it.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Installation {
    /// Opens one that is enrolled.
    pub fn open(folder: PathBuf) -> Result<Self, String> {
        let settings = settings(&folder)?.filter(|settings| settings.org.is_some());
        let none = || {
            format!("{}: no connector is enrolled here: lanyard connector enrol CODE --server URL", folder.display())
        };
        let settings = settings.ok_or_else(none)?;
        let secrets = Secrets::open(&folder, settings.instance).map_err(|error| error.to_string())?;
        Ok(Self { folder, settings, secrets })
    }

    /// Its certificate, as it is shown to the server: what lies in the folder now.
    pub fn identity(&self) -> Result<Identity, String> {
        identity(&self.folder)
    }

    /// Whom the server's certificate is checked against besides the system's roots.
    pub fn server_roots(&self) -> Vec<CertificateDer<'static>> {
        [pem(&self.settings.ca), pem(&self.settings.server_ca)].concat()
    }

    /// What calls the server.
    pub fn server_client(&self) -> Result<http::Client, String> {
        let proxy = proxy(self.settings.server_proxy.as_ref(), self.secrets.get(Name::ServerProxy));
        let (proxy, identity) = (proxy.map_err(|error| error.to_string())?, self.identity()?);
        http::Client::new(Roots::with(&self.server_roots()), proxy, Some(identity)).map_err(|error| error.to_string())
    }

    /// What calls Exchange.
    pub fn exchange_client(&self) -> Result<http::Client, HttpError> {
        let proxy = proxy(self.settings.proxy.as_ref(), self.secrets.get(Name::Proxy))?;
        http::Client::new(Roots::with(&pem(&self.settings.ca)), proxy, None)
    }

    /// Holds the folder for one running program. Dropped it is free again.
    pub fn hold(&self) -> Result<fs::File, String> {
        let path = self.folder.join(RUNNING);
        let file = platform::append_private(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(_) => Err(format!("{}: another connector runs on this folder", self.folder.display())),
        }
    }
}

/// Certificates in a PEM text.
pub fn pem(text: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text.as_bytes()).flatten().collect()
}

/// Reads `identity.pem`.
pub fn identity(folder: &Path) -> Result<Identity, String> {
    let path = folder.join(IDENTITY);
    let wrong = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    if platform::others_read(&path).map_err(|error| wrong(&error))? {
        return Err(wrong(&"others may read it; it must have mode 0600"));
    }
    let bytes = fs::read(&path).map_err(|error| wrong(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| wrong(&error))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes).flatten().collect();
    if chain.is_empty() {
        return Err(wrong(&"no certificate"));
    }
    Ok((chain, key))
}

/// Reads `connector.json`, where there is one.
pub fn settings(folder: &Path) -> Result<Option<Settings>, String> {
    let path = folder.join(SETTINGS);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Writes `connector.json`.
pub fn save(folder: &Path, settings: &Settings) -> io::Result<()> {
    let text = serde_json::to_string_pretty(settings)?;
    platform::write_public(&folder.join(SETTINGS), (text + "\n").as_bytes())
}

/// A proxy as calls use it.
pub fn proxy(
    settings: Option<&ProxySettings>,
    password: Option<&secrecy::SecretString>,
) -> Result<Option<http::Proxy>, HttpError> {
    let Some(settings) = settings else { return Ok(None) };
    let wrong = || HttpError::Proxy(format!("{}: no address of a proxy", settings.url));
    let url: Uri = settings.url.parse().map_err(|_| wrong())?;
    let login = settings.user.clone().zip(password.cloned());
    Ok(Some(http::Proxy { url, login }))
}
