//! Which server a verb talks to, with which token, and whom it trusts: by flags, a named context, the environment, the data folder. Each
//! of the three is taken from the first place that says it.

pub(super) mod layer;

use super::{Failure, contexts::Contexts, print};
use crate::{http::connector::trusted_roots, serve::Folder};
use layer::{Layer, Token, https, open_to_others};
use rustls::RootCertStore;
use secrecy::SecretString;
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

// What every verb that talks to the admin API takes. There is no flag for a token itself: whoever may list processes would read it.
#[expect(missing_docs, reason = "the parser would take them for those of every verb that has these flags")]
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct At {
    /// The admin API; else as the context or LANYARD_URL says, else that of the data folder's server.
    #[arg(long, global = true, value_name = "https://HOST:PORT", value_parser = https, help_heading = "Which server")]
    url: Option<String>,
    /// A server's data folder, which has what nothing else says; else as the context or LANYARD_DATA says.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Which server")]
    data: Option<PathBuf>,
    /// File with the token; else as the context or LANYARD_TOKEN says.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Which server")]
    token_file: Option<PathBuf>,
    /// Roots (PEM) to trust besides the system's; else as the context or LANYARD_CA says.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Which server")]
    ca: Option<PathBuf>,
    /// A context of contexts.yaml, which counts before all variables; else as LANYARD_CONTEXT says, which counts after them.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Which server")]
    context: Option<String>,
}

/// The ids of those flags.
pub(super) const FLAGS: [&str; 5] = ["url", "data", "token_file", "ca", "context"];

/// Where the admin API is, and how it is asked.
pub(super) struct Found {
    pub(super) base: String,
    pub(super) token: SecretString,
    pub(super) roots: Arc<RootCertStore>,
}

impl At {
    /// What these say, and where they are silent what was said before the verb.
    pub(super) fn or(self, before: Self) -> Self {
        Self {
            url: self.url.or(before.url),
            data: self.data.or(before.data),
            token_file: self.token_file.or(before.token_file),
            ca: self.ca.or(before.ca),
            context: self.context.or(before.context),
        }
    }

    /// Whether any of them is given.
    pub(super) fn is_said(&self) -> bool {
        let Self { url, data, token_file, ca, context } = self;
        [data, token_file, ca].iter().any(|path| path.is_some()) || url.is_some() || context.is_some()
    }

    /// By the flags, and by what else there is.
    pub(super) fn find(self) -> Result<Found, Failure> {
        self.layer(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()), Contexts::read).and_then(found)
    }

    /// What all places say together.
    fn layer(
        self,
        set: &impl Fn(&str) -> Option<String>,
        contexts: impl FnOnce() -> Result<Contexts, String>,
    ) -> Result<Layer, Failure> {
        let Self { url, data, token_file, ca, context } = self;
        let flags = Layer { url, data, token: token_file.map(Token::File), ca: ca.map(|ca| (ca, "--ca".into())) };
        let environment = Layer {
            url: set("LANYARD_URL"),
            token: set("LANYARD_TOKEN").map(|token| Token::Itself(token.into())),
            ca: set("LANYARD_CA").map(|ca| (ca.into(), "LANYARD_CA".into())),
            data: set("LANYARD_DATA").map(PathBuf::from),
        };
        // Whoever names a context for this one verb means that server, whatever the shell was set up for.
        let named = |name: String| contexts().and_then(|contexts| contexts.named(&name));
        let mut all = match (context, set("LANYARD_CONTEXT")) {
            (Some(name), _) => {
                let named = named(name).map_err(|e| Failure::Usage(format!("--context: {e}")))?;
                flags.or(named).or(environment)
            }
            (None, Some(name)) => {
                let named = named(name).map_err(|e| format!("LANYARD_CONTEXT: {e}"))?;
                flags.or(environment).or(named)
            }
            (None, None) => flags.or(environment),
        };
        // The other places were read by the same rule; and a variable that does not count may be as it is.
        all.url = all.url.map(|url| https(&url)).transpose().map_err(|e| format!("LANYARD_URL: {e}"))?;
        Ok(all)
    }
}

/// What is not said lies in the data folder.
fn found(said: Layer) -> Result<Found, Failure> {
    let folder = Folder::existing(said.data.as_deref());
    let base = said.url.map_or_else(|| local_url(&folder), Ok)?;
    let token = match said.token {
        Some(Token::Itself(token)) => token,
        Some(Token::File(path)) => of_file(&path)?,
        None => kept(&folder, "local.token", "--token-file or LANYARD_TOKEN")?.into(),
    };
    let roots = match said.ca {
        Some((path, said)) => given_roots(&path).map_err(|text| format!("{said}, {}: {text}", path.display()))?,
        None => {
            let roots = folder.read("ca.pem")?.unwrap_or_default();
            trusted_roots(roots.as_bytes()).map_err(|e| format!("{}: {e}", folder.path("ca.pem").display()))?
        }
    };
    Ok(Found { base, token, roots })
}

/// The one line of a file. That others can read it is said, and no more: who mounts secrets may not be free to choose.
fn of_file(path: &Path) -> Result<SecretString, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("token file {}: {e}", path.display()))?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(format!("token file {}: a token is needed, and nothing else", path.display()).into());
    }
    if let Some(mode) = open_to_others(path) {
        print::say(format!("token file {}: others on this machine can read it (mode {mode:03o})", path.display()));
    }
    Ok(token.into())
}

/// Roots that somebody named, besides the system's.
pub(crate) fn given_roots(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let pem = std::fs::read(path).map_err(|e| e.to_string())?;
    if pem.trim_ascii().is_empty() {
        return Err("no certificate in it".into());
    }
    trusted_roots(&pem).map_err(|e| e.to_string())
}

fn local_url(folder: &Folder) -> Result<String, Failure> {
    let told: Value =
        serde_json::from_str(&kept(folder, "server.json", "--url or LANYARD_URL")?).map_err(|e| e.to_string())?;
    let admin = told.get("admin").and_then(Value::as_str).and_then(|a| a.parse::<SocketAddr>().ok());
    let mut admin = admin.ok_or_else(|| "server.json names no admin address".to_string())?;
    if admin.ip().is_unspecified() {
        admin.set_ip(if admin.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    Ok(format!("https://{admin}"))
}

fn kept(folder: &Folder, name: &str, else_by: &str) -> Result<String, Failure> {
    folder.read(name)?.ok_or_else(|| {
        let path = folder.path(name);
        let text = format!(
            "there is no {}: start `lanyard serve`, or say where with --data or LANYARD_DATA, or with {else_by}",
            path.display()
        );
        Failure::Failed(text)
    })
}

#[cfg(test)]
mod tests;
