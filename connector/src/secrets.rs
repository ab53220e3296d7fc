//! The secrets of this machine, sealed in one file: AES-256-GCM, each bound to its name and to this installation. The key is [`sealing`]'s.

use crate::{platform, sealing};
use aws_lc_rs::{
    aead::{Aad, LessSafeKey, NONCE_LEN, Nonce},
    rand::{SecureRandom as _, SystemRandom},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use std::{collections::BTreeMap, fs, io, path::Path};
use uuid::Uuid;

/// The file.
pub const SEALED: &str = "secrets.sealed";

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The application's certificate, PEM.
    Certificate,
    /// Its key, PEM.
    Key,
    /// The Exchange account's password.
    Password,
    /// The password for the proxy before Exchange.
    Proxy,
    /// The password for the proxy before the server.
    ServerProxy,
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::Password => "password",
            Self::Proxy => "proxy",
            Self::ServerProxy => "server proxy",
        }
    }
}

/// All of them, open.
#[derive(Default)]
pub struct Secrets(BTreeMap<&'static str, SecretString>);

impl Secrets {
    /// Puts one in.
    pub fn set(&mut self, name: Name, secret: SecretString) {
        self.0.insert(name.as_str(), secret);
    }

    /// One of them.
    pub fn get(&self, name: Name) -> Option<&SecretString> {
        self.0.get(name.as_str())
    }

    /// Seals them for this installation.
    pub fn save(&self, folder: &Path, instance: Uuid) -> io::Result<()> {
        let key = sealing::make(folder, instance)?;
        let mut lines = String::new();
        for (name, secret) in &self.0 {
            let sealed = seal(&key, name, instance, secret.expose_secret().as_bytes())?;
            lines += &format!("{}:{}\n", name.replace(' ', "_"), STANDARD.encode(sealed));
        }
        platform::write_private(&folder.join(SEALED), lines.as_bytes())
    }

    /// Opens what was sealed for this installation here.
    pub fn open(folder: &Path, instance: Uuid) -> io::Result<Self> {
        let path = folder.join(SEALED);
        if platform::others_read(&path)? {
            return Err(io::Error::other(format!("{}: others may read it; it must have mode 0600", path.display())));
        }
        let key = sealing::open(folder, instance)?;
        let mut secrets = BTreeMap::new();
        for line in fs::read_to_string(&path)?.lines() {
            let wrong = || io::Error::other(format!("{}: a line that cannot be opened", path.display()));
            let (name, sealed) = line.split_once(':').ok_or_else(wrong)?;
            let name = name.replace('_', " ");
            let known = [Name::Certificate, Name::Key, Name::Password, Name::Proxy, Name::ServerProxy];
            let Some(name) = known.into_iter().map(Name::as_str).find(|known| *known == name) else { continue };
            let sealed = STANDARD.decode(sealed).map_err(|_| wrong())?;
            let open = unseal(&key, name, instance, &sealed).ok_or_else(wrong)?;
            secrets.insert(name, SecretString::from(String::from_utf8(open).map_err(|_| wrong())?));
        }
        Ok(Self(secrets))
    }
}

fn bound(name: &str, instance: Uuid) -> Aad<String> {
    Aad::from(format!("lanyard connector {instance} {name}"))
}

fn seal(key: &LessSafeKey, name: &str, instance: Uuid, open: &[u8]) -> io::Result<Vec<u8>> {
    let failed = |_| io::Error::other("sealing failed");
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(failed)?;
    let mut sealed = open.to_vec();
    let with = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(with, bound(name, instance), &mut sealed).map_err(failed)?;
    Ok([&nonce[..], &sealed].concat())
}

fn unseal(key: &LessSafeKey, name: &str, instance: Uuid, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut open = sealed.to_vec();
    let with = Nonce::assume_unique_for_key(*nonce);
    Some(key.open_in_place(with, bound(name, instance), &mut open).ok()?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lanyard-secrets-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        platform::private_folder(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_sealed_opens_for_this_installation_alone() {
        let (folder, mine, other) = (folder("mine"), Uuid::from_u128(1), Uuid::from_u128(2));
        let mut secrets = Secrets::default();
        secrets.set(Name::Password, SecretString::from("correct horse"));
        secrets.set(Name::ServerProxy, SecretString::from("staple"));
        secrets.save(&folder, mine).unwrap();
        let open = Secrets::open(&folder, mine).unwrap();
        assert_eq!(open.get(Name::Password).unwrap().expose_secret(), "correct horse");
        assert_eq!(open.get(Name::ServerProxy).unwrap().expose_secret(), "staple");
        assert!(open.get(Name::Key).is_none());
        assert!(Secrets::open(&folder, other).is_err());
        let text = fs::read_to_string(folder.join(SEALED)).unwrap();
        assert!(!text.contains("horse") && !text.contains(&STANDARD.encode("correct horse")));
        // One secret does not stand for another.
        fs::write(folder.join(SEALED), text.replace("password:", "key:")).unwrap();
        assert!(Secrets::open(&folder, mine).is_err());
        let _ = fs::remove_dir_all(folder);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_read_is_refused_by_name() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, mine) = (folder("open"), Uuid::from_u128(1));
        Secrets::default().save(&folder, mine).unwrap();
        for name in [SEALED, sealing::KEY] {
            let path = folder.join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let error = Secrets::open(&folder, mine).err().unwrap().to_string();
            assert!(error.contains(name) && error.contains("0600"), "{error}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let _ = fs::remove_dir_all(folder);
    }
}
