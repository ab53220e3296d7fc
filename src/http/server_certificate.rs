//! The listeners' own certificate: read from PEM, checked against the names it is to serve, swapped with no restart.

use super::crypto::{TlsError, provider};
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

/// How often watched files are looked at.
pub const WATCH_EVERY: Duration = Duration::from_secs(3);

/// How errors name the file with the key.
const KEY: &str = "server key";

/// The certificate that new handshakes show. Connections that are open keep theirs.
pub struct ServerCertificate {
    current: RwLock<Arc<Loaded>>,
    standing: RwLock<Standing>,
}

/// A chain and its key, for handshakes and for signing.
struct Loaded {
    certified: Arc<CertifiedKey>,
    key: PrivateKeyDer<'static>,
}

/// What is wrong with a certificate that comes from files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why clients will not take the one in use.
    pub unfit: Vec<String>,
    /// Why what lies in the files now was not taken.
    pub refused: Option<String>,
}

impl ServerCertificate {
    /// From a chain, leaf first, and its key. `names` (host names or IP addresses) must all be covered.
    pub fn from_pem<N: AsRef<str>>(chain: &[u8], key: &[u8], names: &[N]) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { current: RwLock::new(load(chain, key, names)?), standing: RwLock::default() }))
    }

    /// Shows another certificate from now on. On an error the former one stays.
    pub fn swap<N: AsRef<str>>(&self, chain: &[u8], key: &[u8], names: &[N]) -> Result<(), TlsError> {
        let new = load(chain, key, names)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The chain in use, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current().certified.cert.clone()
    }

    /// The leaf in use, DER.
    pub fn leaf(&self) -> Vec<u8> {
        self.current().certified.cert.first().map(|leaf| leaf.to_vec()).unwrap_or_default()
    }

    /// The chain in use, leaf first, and its key, for a signature that is no handshake's.
    pub fn signer(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let current = self.current();
        (current.certified.cert.clone(), current.key.clone_key())
    }

    /// What is wrong with it, as its files were last looked at.
    pub fn standing(&self) -> Standing {
        self.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().certified.clone())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificate")
    }
}

fn load<N: AsRef<str>>(chain: &[u8], key: &[u8], names: &[N]) -> Result<Arc<Loaded>, TlsError> {
    let chain = certificates(chain, "server certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| TlsError::Pem { what: KEY, text: e.to_string() })?;
    let leaf = chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default();
    let certified = CertifiedKey::from_der(chain, key.clone_key(), &provider()).map_err(TlsError::Key)?;
    let missing = uncovered(&leaf, names)?;
    let loaded = Loaded { certified: Arc::new(certified), key };
    if missing.is_empty() { Ok(Arc::new(loaded)) } else { Err(TlsError::Names(missing.join(", "))) }
}

/// The certificates in a PEM text; at least one.
pub fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| TlsError::Pem { what, text: e.to_string() })?;
    if found.is_empty() {
        return Err(TlsError::Pem { what, text: "no certificate in it".to_owned() });
    }
    Ok(found)
}

/// Those of `names` that a client would not accept from this certificate. Only its alternative names count, as with
/// every client of today; an IP address must stand there as one.
pub fn uncovered<N: AsRef<str>>(leaf: &[u8], names: &[N]) -> Result<Vec<String>, TlsError> {
    let der = CertificateDer::from(leaf);
    let parsed = ParsedCertificate::try_from(&der).map_err(TlsError::Key)?;
    let covered = |name: &str| {
        ServerName::try_from(name.trim_matches(['[', ']'])).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
    };
    Ok(names.iter().map(AsRef::as_ref).filter(|name| !covered(name)).map(str::to_owned).collect())
}

/// A certificate in files that someone else renews.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The chain, leaf first, PEM.
    pub chain: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
    /// What the certificate must cover.
    pub names: Vec<String>,
}

/// What changes when a file is replaced or written to: time, length, inode (a symbolic link that is moved on).
type Stamp = [Option<(SystemTime, u64, u64)>; 2];

impl CertificateFiles {
    /// Reads them for the first time.
    pub fn load(&self) -> Result<Arc<ServerCertificate>, TlsError> {
        let (chain, key) = self.read()?;
        ServerCertificate::from_pem(&chain, &key, &self.names).map_err(|e| self.named(e))
    }

    /// Looks at the files each `every` and swaps `certificate` when they have changed; for ever, so spawn it.
    /// While the new files are bad, half-written or do not fit each other, or `unfit` says of the new chain why clients
    /// would not take it, the former certificate stays, one warning is logged per change, and [`ServerCertificate::standing`] says so.
    pub async fn watch<U>(self, certificate: Arc<ServerCertificate>, every: Duration, unfit: U)
    where
        U: Fn(&[CertificateDer<'_>]) -> Vec<String> + Send + Sync,
    {
        // The first look always reads: the files may have changed since they were loaded.
        let mut seen = Stamp::default();
        loop {
            // Time alone makes a certificate unfit, and fit.
            let wrong = unfit(&certificate.chain());
            certificate.note(|standing| standing.unfit = wrong);
            tokio::time::sleep(every).await;
            // The stamp is older than what is read: a write in between shows at the next look.
            let stamp = self.stamp().await;
            if stamp == seen {
                continue;
            }
            seen = stamp;
            let former = certificate.leaf();
            let taken = self.reload(&certificate, &unfit).await;
            certificate.note(|standing| standing.refused = taken.as_ref().err().map(ToString::to_string));
            match taken {
                Ok(()) if certificate.leaf() == former => {}
                Ok(()) => tracing::info!(file = %self.chain.display(), "server certificate exchanged"),
                Err(error) => tracing::warn!(%error, "server certificate not taken, the former one stays"),
            }
        }
    }

    async fn reload<U>(&self, certificate: &ServerCertificate, unfit: &U) -> Result<(), TlsError>
    where
        U: Fn(&[CertificateDer<'_>]) -> Vec<String> + Sync,
    {
        let chain = tokio::fs::read(&self.chain).await.map_err(|e| unreadable(&self.chain, e))?;
        let key = tokio::fs::read(&self.key).await.map_err(|e| unreadable(&self.key, e))?;
        let found = certificates(&chain, "server certificate").map_err(|e| self.named(e))?;
        // What is shown already is no other, fit or not.
        let wrong = if found == certificate.chain() { Vec::new() } else { unfit(&found) };
        if !wrong.is_empty() {
            return Err(self.named(TlsError::Unfit(wrong.join("; "))));
        }
        certificate.swap(&chain, &key, &self.names).map_err(|e| self.named(e))
    }

    /// In which file it is wrong.
    fn named(&self, error: TlsError) -> TlsError {
        let (chain, key) = (self.chain.display(), self.key.display());
        let path = match &error {
            TlsError::File { .. } => return error,
            TlsError::Pem { what: KEY, .. } => key.to_string(),
            TlsError::Key(_) => format!("{chain} and {key}"),
            _ => chain.to_string(),
        };
        TlsError::In { path, source: Box::new(error) }
    }

    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        let chain = fs::read(&self.chain).map_err(|e| unreadable(&self.chain, e))?;
        let key = fs::read(&self.key).map_err(|e| unreadable(&self.key, e))?;
        Ok((chain, key))
    }

    async fn stamp(&self) -> Stamp {
        [stamp(&self.chain).await, stamp(&self.key).await]
    }
}

async fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

fn unreadable(path: &Path, source: std::io::Error) -> TlsError {
    TlsError::File { path: path.display().to_string(), source }
}
