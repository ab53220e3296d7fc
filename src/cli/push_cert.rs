//! `lanyard apple push-cert`.

use super::{Done, Outcome, client::Client};
use crate::documents::push_cert::PushCertBody;
use base64::Engine as _;
use std::path::PathBuf;

/// Apple's push service.
#[derive(clap::Subcommand)]
pub enum Apple {
    /// Apple's push certificate, by which devices are woken.
    #[command(subcommand)]
    PushCert(PushCert),
}

/// The push certificate.
#[derive(clap::Subcommand)]
pub enum PushCert {
    /// Set the push certificate; topic and expiry are read from it.
    Set {
        /// Certificate and key: PEM or PKCS#12.
        file: PathBuf,
        /// A file with its password.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
    /// Show which push certificate is set, and when it ends.
    Show,
}

impl Apple {
    pub(super) async fn run(self, client: &Client) -> Done {
        let Self::PushCert(verb) = self;
        Ok(Outcome::record(match verb {
            PushCert::Show => client.get("apple/push-cert").await?,
            PushCert::Set { file, password_file } => {
                let read = |path: &PathBuf| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
                let file = base64::engine::general_purpose::STANDARD.encode(read(&file)?);
                let password = password_file.as_ref().map(read).transpose()?;
                let password = password.map(|p| String::from_utf8_lossy(&p).trim_end_matches(['\r', '\n']).to_string());
                client.put("apple/push-cert", &PushCertBody { file, password }).await?
            }
        }))
    }
}
