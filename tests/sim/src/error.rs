//! The one error of the simulators: what the other side did, where it did it.

use std::io;

/// Why a simulated device could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection could not be made or broke. A device may try again.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// TLS settings, names or handshakes; a refusal by alert is here too.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server's certificate is of no CA that the device trusts, for another name, or out of its time.
    #[error("the server's certificate is not trusted: {0}")]
    Untrusted(String),
    /// HTTP broke off or was not HTTP. A device may try again.
    #[error("{what}: {source}")]
    Http {
        /// What was being done.
        what: &'static str,
        /// What hyper said.
        #[source]
        source: hyper::Error,
    },
    /// Nothing came within the time given.
    #[error("{0}: no answer in time")]
    Late(&'static str),
    /// The conduct asked for the answer to be thrown away: nothing was read.
    #[error("{0}: the answer was dropped on purpose")]
    Dropped(&'static str),
    /// An HTTP status other than the one a device goes on with.
    #[error("{what}: HTTP {status}: {body}")]
    Status {
        /// What was being done.
        what: &'static str,
        /// The status.
        status: u16,
        /// The first characters of the body.
        body: String,
    },
    /// The other side refused in its protocol's own words: a SCEP failInfo, a SOAP fault, an EAS status.
    #[error("{what}: refused: {code} {text}")]
    Refused {
        /// What was being done.
        what: &'static str,
        /// The protocol's code, such as `s:Authentication` or `badRequest`.
        code: String,
        /// The words that came with it.
        text: String,
    },
    /// Bytes that a device would not understand.
    #[error("{what}: {detail}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The device is erased, unenrolled or has no such account: it says nothing any more.
    #[error("the device is gone: {0}")]
    Gone(&'static str),
    /// OpenSSL.
    #[error("OpenSSL: {0}")]
    Openssl(#[from] openssl::error::ErrorStack),
    /// Property lists.
    #[error("plist: {0}")]
    Plist(#[from] plist::Error),
}

/// Short for results in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what, source }
    }

    pub(crate) fn malformed(what: &'static str, detail: impl ToString) -> Error {
        Error::Malformed { what, detail: detail.to_string() }
    }

    /// Whether the other side may never have heard, or we may never have heard it: a device keeps its report and tries again.
    /// A refusal in so many words is not.
    pub fn is_transport(&self) -> bool {
        matches!(
            self,
            Error::Io { .. }
                | Error::Http { .. }
                | Error::Late(_)
                | Error::Dropped(_)
                | Error::Tls(_)
                | Error::Untrusted(_)
        )
    }

    /// The HTTP status, where that is what went wrong.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}
