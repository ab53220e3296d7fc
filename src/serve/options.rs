//! What `lanyard serve` is told: by flags, by the environment, or by a file that says the same.

use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The flags of `lanyard serve`. A file names them without their dashes; where both say something the flag counts.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Folder for keys, tokens and the embedded store.
    #[arg(long, env = "LANYARD_DATA")]
    pub data: Option<PathBuf>,
    /// `sled:DIR` or `postgres://…`; the embedded store in the data folder where nothing is said.
    #[arg(long, env = "LANYARD_STORE")]
    pub store: Option<String>,
    /// Address of the listener for devices; 0.0.0.0:8443 where nothing is said.
    #[arg(long)]
    pub device_addr: Option<SocketAddr>,
    /// Address of the listener for administrators; 127.0.0.1:9443 where nothing is said.
    #[arg(long)]
    pub admin_addr: Option<SocketAddr>,
    /// `https://NAME[:PORT]` under which devices reach this server.
    #[arg(long)]
    pub public_url: Option<String>,
    /// Likewise for enrolment; the public one where nothing is said.
    #[arg(long)]
    pub enrol_url: Option<String>,
    /// Certificate chain of the listeners, PEM; of our own CA where nothing is said.
    #[arg(long)]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long)]
    pub tls_key: Option<PathBuf>,
    /// File with the master key, where it is not in the data folder or in LANYARD_MASTER_KEY.
    #[arg(long)]
    pub master_key: Option<PathBuf>,
    /// The mail server's own address, `http(s)://HOST/Microsoft-Server-ActiveSync`.
    #[arg(long)]
    pub eas_upstream: Option<String>,
    /// Roots (PEM) that outgoing calls trust besides the system's.
    #[arg(long)]
    pub trust: Option<PathBuf>,
    /// File (YAML) with these flags, without their dashes, a line each.
    #[arg(long)]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// How to log; `text` where nothing is said.
    #[arg(long, value_enum)]
    pub log: Option<Log>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// Lines for people.
    Text,
    /// An object a line.
    Json,
}

impl Options {
    /// These, and what the file of `--config` says besides. Relative paths in it start at its own folder.
    pub fn with_file(mut self) -> Result<Self, String> {
        if let Some(path) = self.config.take() {
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let file: Option<Self> = serde_norway::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
            let file = file.unwrap_or_default().below(path.parent().unwrap_or(Path::new("")));
            self = self.or(file);
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("--tls-cert and --tls-key go together".into());
        }
        Ok(self)
    }

    fn or(self, other: Self) -> Self {
        Self {
            data: self.data.or(other.data),
            store: self.store.or(other.store),
            device_addr: self.device_addr.or(other.device_addr),
            admin_addr: self.admin_addr.or(other.admin_addr),
            public_url: self.public_url.or(other.public_url),
            enrol_url: self.enrol_url.or(other.enrol_url),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            master_key: self.master_key.or(other.master_key),
            eas_upstream: self.eas_upstream.or(other.eas_upstream),
            trust: self.trust.or(other.trust),
            config: None,
            log: self.log.or(other.log),
        }
    }

    fn below(mut self, folder: &Path) -> Self {
        for path in [&mut self.data, &mut self.tls_cert, &mut self.tls_key, &mut self.master_key, &mut self.trust] {
            *path = path.take().map(|path| folder.join(path));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn flags(words: &[&str]) -> Options {
        let matches = Options::augment_args(clap::Command::new("serve").no_binary_name(true)).get_matches_from(words);
        Options::from_arg_matches(&matches).unwrap()
    }

    fn with(text: &str, words: &[&str]) -> Result<Options, String> {
        let path = std::env::temp_dir().join(format!("lanyard-{}.yaml", uuid::Uuid::new_v4().simple()));
        std::fs::write(&path, text).unwrap();
        let options = Options { config: Some(path.clone()), ..flags(words) }.with_file();
        std::fs::remove_file(path).unwrap();
        options
    }

    #[test]
    fn a_flag_counts_before_the_file() {
        let text = "# ours\ndevice-addr: '[::]:443'\npublic-url: https://mdm.example.org\nlog: json\n";
        let options = with(text, &["--public-url", "https://other.example.org"]).unwrap();
        assert_eq!(options.device_addr.unwrap().to_string(), "[::]:443");
        assert_eq!(options.public_url.as_deref(), Some("https://other.example.org"));
        assert_eq!((options.log, options.enrol_url), (Some(Log::Json), None));
        assert!(with("", &[]).unwrap().public_url.is_none(), "an empty file says nothing");
    }

    #[test]
    fn paths_start_at_the_files_folder() {
        let options = with("tls-cert: chain.pem\ntls-key: /etc/key.pem\n", &[]).unwrap();
        assert!(options.tls_cert.unwrap().is_absolute());
        assert_eq!(options.tls_key.unwrap(), Path::new("/etc/key.pem"));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said() {
        for (text, part) in [
            ("pubic-url: https://a\n", "unknown field `pubic-url`, expected one of `data`"),
            ("device-addr: everywhere\n", "device-addr"),
            ("config: other.yaml\n", "unknown field `config`"),
            ("wipe.delay: 0s\n", "unknown field `wipe.delay`"),
            ("tls-cert: chain.pem\n", "go together"),
        ] {
            let error = with(text, &[]).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = Options { config: Some("/nowhere/lanyard.yaml".into()), ..flags(&[]) }.with_file().unwrap_err();
        assert!(error.starts_with("/nowhere/lanyard.yaml: "), "{error}");
    }
}
