//! What `lanyard serve` is told: by flags, by the environment, or by a file that says the same.

use crate::{
    channel::mail,
    fleet::mailboxes::Addresses,
    policy::{nearest::nearest, yaml},
    server::{host, signon::SignOn, smtp::Smtp},
    store::Postgres,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// How errors name it.
const STORE: &str = "--store (or LANYARD_STORE)";

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
    /// File with lines `login address`, for logins of mail that are not their user's address.
    #[arg(long)]
    pub eas_users: Option<PathBuf>,
    /// How the mail server learns whose mail is asked for with a certificate of ours: `header:NAME`, a header that it believes, or
    /// `kerberos:SPN`, tickets for that service in its users' names. Else the user's own login goes along.
    #[arg(long)]
    pub eas_signon: Option<String>,
    /// The server that takes mail for users, `smtp://HOST[:PORT]` or `smtps://…`, where clients in quarantine are told by mail.
    #[arg(long, env = "LANYARD_SMTP", hide_env_values = true)]
    pub smtp: Option<String>,
    /// From which address.
    #[arg(long)]
    pub smtp_from: Option<String>,
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
            let text = std::fs::read_to_string(&path).map_err(|e| e.to_string());
            let file = text.and_then(|text| from_file(&text));
            let file = file.map_err(|e| format!("--config {}: {e}", path.display()))?;
            self = self.or(file.below(path.parent().unwrap_or(Path::new(""))));
        }
        self.check()?;
        Ok(self)
    }

    /// What can be known to be wrong before anything is opened or made.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("--tls-cert and --tls-key go together".into());
        }
        for (flag, url) in [("--public-url", &self.public_url), ("--enrol-url", &self.enrol_url)] {
            url.as_deref().map(address).transpose().map_err(|e| format!("{flag}: {e}"))?;
        }
        self.eas_upstream.as_deref().map(upstream).transpose()?;
        users(self.eas_users.as_deref())?;
        self.eas_signon.as_deref().map(signon).transpose()?;
        Smtp::of(self.smtp.as_deref(), self.smtp_from.as_deref(), &[], "")?;
        match self.store.as_deref().map(StoreUrl::parse).transpose()? {
            Some(StoreUrl::Postgres(url)) => Postgres::can_read(url).map_err(|e| format!("{STORE}: {e}")),
            Some(StoreUrl::Sled(_)) | None => Ok(()),
        }
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
            eas_users: self.eas_users.or(other.eas_users),
            eas_signon: self.eas_signon.or(other.eas_signon),
            smtp: self.smtp.or(other.smtp),
            smtp_from: self.smtp_from.or(other.smtp_from),
            trust: self.trust.or(other.trust),
            config: None,
            log: self.log.or(other.log),
        }
    }

    fn below(mut self, folder: &Path) -> Self {
        let folder_of = [
            &mut self.data,
            &mut self.tls_cert,
            &mut self.tls_key,
            &mut self.master_key,
            &mut self.eas_users,
            &mut self.trust,
        ];
        for path in folder_of {
            *path = path.take().map(|path| folder.join(path));
        }
        self
    }
}

/// What a file says. A file of nothing but remarks says nothing.
fn from_file(text: &str) -> Result<Options, String> {
    match yaml::read(text, |reader| Value::deserialize(reader)).map_err(|misread| misread.text)? {
        Value::Null => return Ok(Options::default()),
        Value::Object(said) => said.keys().try_for_each(|key| check_key(key))?,
        _ => return Err("flags without their dashes are needed, a line `name: value` each".into()),
    }
    let mut place = String::new();
    let said = yaml::read(text, |reader| {
        serde_path_to_error::deserialize(reader).map_err(|misfit| {
            place = misfit.path().to_string();
            misfit.into_inner()
        })
    });
    said.map_err(|misread| format!("{place}: {}", misread.text))
}

fn check_key(key: &str) -> Result<(), String> {
    use clap::Args as _;
    let flags = Options::augment_args(clap::Command::new("serve"));
    let known: Vec<&str> =
        flags.get_arguments().filter_map(|a| a.get_long()).filter(|name| *name != "config").collect();
    if known.contains(&key) {
        return Ok(());
    }
    let nearest = nearest(key, known).unwrap_or_default();
    Err(format!("unknown key {key:?}; the nearest is {nearest}: each key is the name of a flag"))
}

/// Where the store is.
pub(super) enum StoreUrl<'a> {
    Sled(&'a Path),
    Postgres(&'a str),
}

impl<'a> StoreUrl<'a> {
    /// The URL may hold a password: no error repeats it.
    pub(super) fn parse(url: &'a str) -> Result<Self, String> {
        match url.strip_prefix("sled:") {
            Some(folder) if !folder.is_empty() => Ok(Self::Sled(Path::new(folder))),
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => Ok(Self::Postgres(url)),
            _ => Err(format!("{STORE} is sled:DIR or postgres://…")),
        }
    }
}

/// An `https` address without path or slash at its end.
pub(super) fn address(url: &str) -> Result<String, String> {
    let plain = url.trim_end_matches('/');
    let rest = plain.strip_prefix("https://").unwrap_or_default();
    if rest.is_empty() || rest.contains('/') || rest.contains('@') || host(plain).is_empty() {
        return Err(format!("{url:?} is not https://NAME or https://NAME:PORT"));
    }
    Ok(plain.to_string())
}

/// The file of `--eas-users`.
pub(super) fn users(path: Option<&Path>) -> Result<Addresses, String> {
    let Some(path) = path else { return Ok(Addresses::default()) };
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string());
    text.and_then(|text| Addresses::parse(&text)).map_err(|e| format!("--eas-users {}: {e}", path.display()))
}

/// What `--eas-signon` says. A header that clients may send names nobody.
pub(super) fn signon(text: &str) -> Result<SignOn, String> {
    let way = SignOn::parse(text).map_err(|e| format!("--eas-signon: {e}"))?;
    match &way {
        SignOn::Header(name) if mail::is_passed(name) => {
            Err(format!("--eas-signon: clients send the header {name} too, and could name whom they like"))
        }
        SignOn::Header(_) | SignOn::Kerberos(_) => Ok(way),
    }
}

pub(super) fn upstream(url: &str) -> Result<http::Uri, String> {
    let uri: http::Uri = url.parse().map_err(|e| format!("--eas-upstream: {e}"))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some() => Ok(uri),
        _ => Err("--eas-upstream is http(s)://HOST/Microsoft-Server-ActiveSync".into()),
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
            ("pubic-url: https://a\n", "unknown key \"pubic-url\"; the nearest is public-url"),
            ("device-addr: everywhere\n", "device-addr"),
            ("log: json\ndevice-addr: everywhere\n", "at line 2, column 14"),
            ("log: json\nlog: text\n", "the key `log` stands twice at line 2, column 1"),
            ("data: [\n", "unclosed bracket '[' at line 1, column 7"),
            ("config: other.yaml\n", "unknown key \"config\""),
            ("wipe.delay: 0s\n", "unknown key \"wipe.delay\""),
            ("- log: json\n", "a line `name: value` each"),
            ("1: json\n", "the name of a flag"),
            ("tls-cert: chain.pem\n", "go together"),
            ("public-url: http://a\n", "--public-url: \"http://a\" is not https://NAME"),
            ("enrol-url: https://a/b\n", "--enrol-url: "),
            ("eas-upstream: mail\n", "--eas-upstream is "),
            ("eas-users: /nowhere/users\n", "--eas-users /nowhere/users: "),
            ("eas-signon: remote-user\n", "--eas-signon: header:NAME is needed"),
            ("eas-signon: header:Cookie\n", "--eas-signon: clients send the header cookie too"),
            ("eas-signon: header:X-OWA-User\n", "--eas-signon: clients send the header x-owa-user too"),
            ("eas-signon: header:X-MS-PolicyKey\n", "--eas-signon: clients send the header x-ms-policykey too"),
            ("smtp: smtp://u:secret@mail\n", "--smtp and --smtp-from go together"),
            ("smtp: imap://u:secret@mail\nsmtp-from: a@b.c\n", "--smtp (or LANYARD_SMTP) is smtp://"),
            ("smtp: smtp://mail\nsmtp-from: nobody\n", "--smtp-from: "),
            ("store: mysql://u:secret@x\n", "--store (or LANYARD_STORE) is sled:DIR"),
            ("store: 'sled:'\n", "--store (or LANYARD_STORE) is sled:DIR"),
            ("store: postgres://u:secret@x:port/lanyard\n", "--store (or LANYARD_STORE): invalid"),
            ("store: postgres://u:secret@x/lanyard?sslmod=require\n", "--store (or LANYARD_STORE): invalid"),
        ] {
            let error = with(text, &[]).unwrap_err();
            assert!(error.contains(part) && !error.contains("secret"), "{text}: {error}");
        }
        let error = Options { config: Some("/nowhere/lanyard.yaml".into()), ..flags(&[]) }.with_file().unwrap_err();
        assert!(error.starts_with("--config /nowhere/lanyard.yaml: "), "{error}");
    }
}
