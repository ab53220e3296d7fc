//! Servers by name: `contexts.yaml` in `$XDG_CONFIG_HOME/lanyard` (else `~/.config/lanyard`), a file that people write.

use super::at::layer::{Layer, Token, https, open_to_others};
use crate::policy::{nearest::nearest, yaml};
use secrecy::SecretString;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// See the module.
pub(super) struct Contexts {
    named: BTreeMap<String, Context>,
    path: PathBuf,
}

/// What a context says. Relative paths start at the file's own folder.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Context {
    url: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    data: Option<PathBuf>,
}

impl Contexts {
    /// Those of the user.
    pub(super) fn read() -> Result<Self, String> {
        let path = usual().ok_or("neither XDG_CONFIG_HOME nor HOME says where contexts.yaml is")?;
        let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => format!("there is no {}, which names the contexts", path.display()),
            _ => format!("{}: {e}", path.display()),
        })?;
        let read = Self::parse(&text, &path)?;
        read.keeps_its_secrets()?;
        Ok(read)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let mut place = String::new();
        let said = yaml::read(text, |reader| {
            serde_path_to_error::deserialize::<_, Option<BTreeMap<String, Context>>>(reader).map_err(|misfit| {
                place = format!("{}: ", misfit.path());
                misfit.into_inner()
            })
        });
        let wrong = |text: String| format!("{}: {text}", path.display());
        let named = said.map_err(|misread| wrong(format!("{place}{}", misread.text)))?.unwrap_or_default();
        for (name, context) in &named {
            if context.token.is_some() && context.token_file.is_some() {
                return Err(wrong(format!("{name}: either token or token-file")));
            }
            context.url.as_deref().map(https).transpose().map_err(|e| wrong(format!("{name}.url: {e}")))?;
        }
        Ok(Self { named, path: path.into() })
    }

    /// Refused where others can read a token: a line of warning is read by nobody who calls this from a script.
    fn keeps_its_secrets(&self) -> Result<(), String> {
        let has_token = self.named.values().any(|context| context.token.is_some());
        match open_to_others(&self.path).filter(|_| has_token) {
            Some(mode) => Err(format!(
                "{0}: a token is in it, and others on this machine can read it (mode {mode:03o}): `chmod 600 {0}`, or name a token-file",
                self.path.display()
            )),
            None => Ok(()),
        }
    }

    /// What this one says.
    pub(super) fn named(mut self, name: &str) -> Result<Layer, String> {
        let Some(context) = self.named.remove(name) else {
            let near = nearest(name, self.named.keys().map(String::as_str));
            let near = near.map_or_else(|| "it names none".into(), |near| format!("the nearest is {near}"));
            return Err(format!("{}: there is no context {name:?}; {near}", self.path.display()));
        };
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let below = |path: PathBuf| folder.join(path);
        let token = context.token.map(|token| Token::Itself(SecretString::from(token)));
        Ok(Layer {
            url: context.url.as_deref().map(https).transpose()?,
            token: token.or_else(|| context.token_file.map(below).map(Token::File)),
            ca: context.ca.map(below).map(|ca| (ca, format!("context {name}"))),
            data: context.data.map(below),
        })
    }
}

fn usual() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("lanyard/contexts.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_wrong_in_the_file_is_said() {
        for (text, part) in [
            ("prod: {ulr: https://a}\n", "prod"),
            ("prod: {ulr: https://a}\n", "ulr"),
            ("prod: {url: http://a}\n", "prod.url: \"http://a\" is not https://HOST:PORT"),
            ("prod: {token: lanyard_secret, token-file: b}\n", "prod: either token or token-file"),
            ("prod: [lanyard_secret]\n", "prod"),
            ("prod: {url: https://a}\nprod: {}\n", "stands twice at line 2"),
            ("- prod\n", "/c.yaml: "),
        ] {
            let error = Contexts::parse(text, Path::new("/c.yaml")).err().unwrap_or_else(|| panic!("{text}"));
            assert!(
                error.starts_with("/c.yaml: ") && error.contains(part) && !error.contains("secret"),
                "{text}: {error}"
            );
        }
        for nothing in ["", "# none yet\n"] {
            let error =
                Contexts::parse(nothing, Path::new("/c.yaml")).unwrap_or_else(|e| panic!("{e}")).named("a").err();
            assert_eq!(error.as_deref(), Some("/c.yaml: there is no context \"a\"; it names none"));
        }
    }

    #[test]
    fn a_token_that_others_can_read_is_refused() {
        let path = std::env::temp_dir().join(format!("lanyard-{}.yaml", uuid::Uuid::new_v4().simple()));
        for (text, mode, good) in [
            ("a: {token: lanyard_1}", 0o600, true),
            ("a: {token: lanyard_1}", 0o640, false),
            ("a: {token: lanyard_1}\nb: {url: https://b}", 0o604, false),
            ("a: {token-file: t}", 0o644, true),
        ] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let kept = Contexts::parse(text, &path).and_then(|contexts| contexts.keeps_its_secrets());
            assert_eq!(kept.is_ok(), good, "{text} {mode:o}: {kept:?}");
        }
        std::fs::remove_file(path).unwrap();
    }
}
