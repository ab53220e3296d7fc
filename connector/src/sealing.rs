//! The key that seals the secrets of this machine, and where it lies: systemd's credential (`$CREDENTIALS_DIRECTORY/lanyard-connector.key`),
//! else a file beside them that its owner alone reads. On Windows that file holds it protected by DPAPI, for the account that enrolled.

use crate::platform;
use aws_lc_rs::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The file, where no other place is given.
pub const KEY: &str = "sealing.key";
const CREDENTIAL: &str = "lanyard-connector.key";
const LENGTH: usize = 32;

/// The key of an installation that has one.
pub(crate) fn open(folder: &Path, instance: Uuid) -> io::Result<LessSafeKey> {
    let (path, given) = place(folder);
    if !given && platform::others_read(&path).map_err(|error| named(&path, error))? {
        return Err(io::Error::other(format!("{}: others may read it; it must have mode 0600", path.display())));
    }
    let text = fs::read_to_string(&path).map_err(|error| named(&path, error))?;
    let bytes = kept::read(&path, text.trim(), instance).map_err(|error| named(&path, error))?;
    match UnboundKey::new(&AES_256_GCM, &bytes) {
        Ok(key) => Ok(LessSafeKey::new(key)),
        Err(_) => Err(named(&path, wrong())),
    }
}

/// The same, made where there is none.
pub(crate) fn make(folder: &Path, instance: Uuid) -> io::Result<LessSafeKey> {
    let (path, _) = place(folder);
    if !path.exists() {
        let mut bytes = [0; LENGTH];
        SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system has no random bytes"))?;
        kept::write(&path, &bytes, instance)?;
    }
    open(folder, instance)
}

/// Where it lies, and whether the system gave it.
fn place(folder: &Path) -> (PathBuf, bool) {
    let given = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|_| cfg!(unix));
    match given.map(|folder| PathBuf::from(folder).join(CREDENTIAL)).filter(|path| path.exists()) {
        Some(path) => (path, true),
        None => (folder.join(KEY), false),
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn wrong() -> io::Error {
    io::Error::other(format!("{LENGTH} bytes in base64 are needed"))
}

fn plain(text: &str) -> io::Result<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|bytes| bytes.len() == LENGTH).ok_or_else(wrong)
}

/// As it is, in base64.
#[cfg(unix)]
mod kept {
    use super::*;

    pub(super) fn read(_: &Path, text: &str, _: Uuid) -> io::Result<Vec<u8>> {
        plain(text)
    }

    pub(super) fn write(path: &Path, key: &[u8], _: Uuid) -> io::Result<()> {
        platform::write_private(path, format!("{}\n", STANDARD.encode(key)).as_bytes())
    }
}

/// Protected by DPAPI, for this installation.
#[cfg(windows)]
mod kept {
    use super::*;

    const PROTECTED: &str = "dpapi:";

    pub(super) fn read(path: &Path, text: &str, instance: Uuid) -> io::Result<Vec<u8>> {
        match text.strip_prefix(PROTECTED) {
            Some(protected) => {
                platform::unprotect(&STANDARD.decode(protected).map_err(|_| wrong())?, &purpose(instance))
            }
            // Made before the key was protected: from now on it is.
            None => {
                let key = plain(text)?;
                path.parent().map_or(Ok(()), platform::private_folder)?;
                write(path, &key, instance)?;
                Ok(key)
            }
        }
    }

    pub(super) fn write(path: &Path, key: &[u8], instance: Uuid) -> io::Result<()> {
        let protected = platform::protect(key, &purpose(instance))?;
        platform::write_private(path, format!("{PROTECTED}{}\n", STANDARD.encode(protected)).as_bytes())
    }

    fn purpose(instance: Uuid) -> String {
        format!("lanyard connector {instance} sealing key")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_key_that_lay_open_is_protected_when_it_is_next_read() {
            let folder = std::env::temp_dir().join(format!("lanyard-sealing-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            platform::private_folder(&folder).unwrap();
            let (path, instance, other) = (folder.join(KEY), Uuid::from_u128(1), Uuid::from_u128(2));
            let key = STANDARD.encode([7; LENGTH]);
            fs::write(&path, format!("{key}\n")).unwrap();
            let read = || read(&path, fs::read_to_string(&path).unwrap().trim(), instance);
            assert_eq!(read().unwrap(), [7; LENGTH]);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(PROTECTED) && !text.contains(&key), "{text}");
            assert_eq!(read().unwrap(), [7; LENGTH]);
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "once");
            assert!(super::read(&path, text.trim(), other).is_err(), "another installation's");
            let _ = fs::remove_dir_all(folder);
        }
    }
}
