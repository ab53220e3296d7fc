//! What one place says of a server, whichever place that is.

use secrecy::SecretString;
use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// See the module.
#[derive(Default)]
pub(in crate::cli) struct Layer {
    pub(in crate::cli) url: Option<String>,
    pub(in crate::cli) token: Option<Token>,
    /// The file, and what named it.
    pub(in crate::cli) ca: Option<(PathBuf, String)>,
    pub(in crate::cli) data: Option<PathBuf>,
}

/// A token, or where it lies.
pub(in crate::cli) enum Token {
    Itself(SecretString),
    File(PathBuf),
}

impl Layer {
    /// This, and where it is silent the other.
    pub(in crate::cli) fn or(self, other: Self) -> Self {
        Self {
            url: self.url.or(other.url),
            token: self.token.or(other.token),
            ca: self.ca.or(other.ca),
            data: self.data.or(other.data),
        }
    }
}

/// A name or address under https, perhaps with a path that a proxy takes away.
pub(in crate::cli) fn https(url: &str) -> Result<String, String> {
    let plain = url.trim_end_matches('/');
    let good = plain.parse::<http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
    if good { Ok(plain.to_string()) } else { Err(format!("{url:?} is not https://HOST:PORT")) }
}

/// The permissions, where others than the owner have any.
pub(in crate::cli) fn open_to_others(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}
