//! `lanyard connector enrol`: a code to a certificate, and what Exchange is reached by into the folder. It needs the server alone; Exchange is
//! tried by `check`. Broken off and given the same code again it goes on with the same key.

use crate::{
    clock,
    http::{self, Client},
    installation::{self, IDENTITY, OnlineSettings, OnpremSettings, ProxySettings, Settings},
    online::Credential,
    platform,
    roots::Roots,
    secrets::{Name, Secrets},
    server::{CallError, Server},
};
use ::http::Uri;
use lanyard_exchange::calls::{Enrol, Enrolled, Kind, Renew};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use secrecy::SecretString;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// Under this name the key lies until its certificate came.
const NEW_KEY: &str = "identity.key";

/// What is to be enrolled.
pub struct Request {
    /// As `connector invite` printed it.
    pub code: String,
    /// The server's address.
    pub server: String,
    /// The folder.
    pub folder: PathBuf,
    /// Further roots, PEM.
    pub ca: String,
    /// How Exchange is reached.
    pub exchange: Exchange,
    /// Before Exchange, and its password.
    pub proxy: Option<(ProxySettings, Option<SecretString>)>,
    /// Before the server, likewise.
    pub server_proxy: Option<(ProxySettings, Option<SecretString>)>,
}

/// How Exchange is reached.
pub enum Exchange {
    /// Exchange Online.
    Online {
        /// Ids and addresses.
        settings: OnlineSettings,
        /// The application's certificate, PEM.
        certificate: SecretString,
        /// Its key, PEM.
        key: SecretString,
    },
    /// Exchange on premises.
    Onprem {
        /// Server and account.
        settings: OnpremSettings,
        /// The account's password.
        password: SecretString,
    },
}

/// Enrols. The organisation's name, and this installation's id.
pub async fn enrol(request: Request) -> Result<(String, Uuid), String> {
    let Request { code, server, folder, ca, exchange, proxy, server_proxy } = request;
    let said = |what: &str, error: io::Error| format!("{what}: {error}");
    check_address(&server)?;
    let before = installation::settings(&folder)?;
    if before.is_none() && cfg!(windows) && holds_something(&folder) {
        // Whoever else reads it there would do so no more.
        return Err(format!("{}: it is not empty, and no connector's; another folder is needed", folder.display()));
    }
    platform::private_folder(&folder).map_err(|error| said(&folder.display().to_string(), error))?;
    if before.as_ref().is_some_and(|before| before.org.is_some()) {
        return Err(format!(
            "{}: a connector is enrolled here already; another needs a folder of its own",
            folder.display()
        ));
    }
    let instance = before.map_or_else(Uuid::new_v4, |before| before.instance);
    let (kind, online, onprem, secrets) = taken(exchange, &proxy, &server_proxy)?;
    let (proxy, server_proxy) = (proxy.map(|(proxy, _)| proxy), server_proxy.map(|(proxy, _)| proxy));
    let mut settings = Settings {
        instance,
        org: None,
        kind,
        server,
        ca,
        server_ca: String::new(),
        online,
        onprem,
        proxy,
        server_proxy,
    };
    // All that is asked for again if this is broken off lies there first.
    installation::save(&folder, &settings).map_err(|error| said("connector.json", error))?;
    let key = key(&folder)?;
    let client = Client::new(
        Roots::with(&installation::pem(&settings.ca)),
        installation::proxy(settings.server_proxy.as_ref(), secrets.get(Name::ServerProxy))
            .map_err(|error| error.to_string())?,
        None,
    );
    let asked = Enrol { code, instance, kind, request: signed(&key)? };
    let server = Server::new(&settings.server, client.map_err(|error| error.to_string())?);
    let Enrolled { org, certificate, ca, .. } = server.enrol(&asked).await.map_err(|error| told(&error))?;
    secrets.save(&folder, instance).map_err(|error| said("secrets.sealed", error))?;
    let identity = format!("{}{certificate}", key.serialize_pem());
    platform::write_private(&folder.join(IDENTITY), identity.as_bytes()).map_err(|error| said(IDENTITY, error))?;
    settings.server_ca = ca;
    settings.org = Some(org.clone());
    installation::save(&folder, &settings).map_err(|error| said("connector.json", error))?;
    let _ = fs::remove_file(folder.join(NEW_KEY));
    Ok((org, instance))
}

fn holds_something(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn check_address(server: &str) -> Result<(), String> {
    let uri: Uri = server.parse().map_err(|_| format!("{server}: no address"))?;
    http::place(&uri).map(drop).map_err(|error| error.to_string())
}

fn told(error: &CallError) -> String {
    match error {
        CallError::Refused { text, .. } | CallError::Removed(text) => text.clone(),
        error => error.to_string(),
    }
}

type Taken = (Kind, Option<OnlineSettings>, Option<OnpremSettings>, Secrets);

/// What of it is a secret goes apart.
fn taken(
    exchange: Exchange,
    proxy: &Option<(ProxySettings, Option<SecretString>)>,
    server_proxy: &Option<(ProxySettings, Option<SecretString>)>,
) -> Result<Taken, String> {
    use secrecy::ExposeSecret as _;
    let mut secrets = Secrets::default();
    for (name, proxy) in [(Name::Proxy, proxy), (Name::ServerProxy, server_proxy)] {
        if let Some((settings, password)) = proxy {
            let uri: Uri = settings.url.parse().map_err(|_| format!("{}: no address of a proxy", settings.url))?;
            if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
                return Err(
                    "the proxy's login goes into --proxy-user and --proxy-password-file, not into its address".into()
                );
            }
            password.iter().for_each(|password| secrets.set(name, password.clone()));
        }
    }
    Ok(match exchange {
        Exchange::Online { settings, certificate, key } => {
            // What cannot be read is said now, and not when it is used.
            Credential::read(certificate.expose_secret().as_bytes(), key.expose_secret().as_bytes())?;
            secrets.set(Name::Certificate, certificate);
            secrets.set(Name::Key, key);
            (Kind::Online, Some(settings), None, secrets)
        }
        Exchange::Onprem { settings, password } => {
            secrets.set(Name::Password, password);
            (Kind::Onprem, None, Some(settings), secrets)
        }
    })
}

/// The key that was made before, where enrolling was broken off.
fn key(folder: &Path) -> Result<KeyPair, String> {
    let path = folder.join(NEW_KEY);
    let wrong = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    if path.exists() {
        let pem = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
        return KeyPair::from_pem(&pem).map_err(|error| wrong(&error));
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| wrong(&error))?;
    platform::write_private(&path, key.serialize_pem().as_bytes()).map_err(|error| wrong(&error))?;
    Ok(key)
}

/// A request for a certificate, PEM. Its subject counts for nothing.
fn signed(key: &KeyPair) -> Result<String, String> {
    let wrong = |error: rcgen::Error| error.to_string();
    let request = CertificateParams::new(Vec::<String>::new()).map_err(wrong)?.serialize_request(key).map_err(wrong)?;
    request.pem().map_err(wrong)
}

/// Whether two thirds of the certificate's life are over.
pub fn is_due(folder: &Path) -> bool {
    let Ok((chain, _)) = installation::identity(folder) else { return false };
    let Some(leaf) = chain.first() else { return false };
    let Ok((_, leaf)) = x509_parser::parse_x509_certificate(leaf) else { return false };
    let (from, to) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    clock::now().unix_timestamp() >= from + (to - from) / 3 * 2
}

/// Trades the certificate for another, for another key. Until the new one is on disk the former is used on.
pub async fn renew(folder: &Path, server: &Server) -> Result<(), String> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())?;
    let renewed = server.renew(&Renew { request: signed(&key)? }).await.map_err(|error| error.to_string())?;
    let identity = format!("{}{}", key.serialize_pem(), renewed.certificate);
    platform::write_private(&folder.join(IDENTITY), identity.as_bytes()).map_err(|error| format!("{IDENTITY}: {error}"))
}
