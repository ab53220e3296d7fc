//! The data folder: files that scripts rely on, and the secrets of this machine.

use crate::{ids::hex, server::Server};
use std::{
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// See the module.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// Characters of a node's name at most.
const LONGEST_NODE: usize = 64;

impl Folder {
    /// The folder named, or the usual one: `/var/lib/lanyard` for root, else `$XDG_DATA_HOME/lanyard`. Made where absent, 0700.
    pub fn open(named: Option<&Path>) -> Result<Self, String> {
        let path = named.map_or_else(usual, Path::to_path_buf);
        make(&path)?;
        Ok(Self(path))
    }

    /// The folder named, or the usual one, whether or not it is there.
    pub fn existing(named: Option<&Path>) -> Self {
        Self(named.map_or_else(usual, Path::to_path_buf))
    }

    /// Refused where the folder is another user's: what this process made there, that user's server could not write.
    pub fn is_ours(&self) -> Result<(), String> {
        let owner = |path: &Path| fs::metadata(path).ok().map(|m| std::os::unix::fs::MetadataExt::uid(&m));
        match (owner(&self.0), owner(Path::new("/proc/self"))) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                Err(format!("{} belongs to user {theirs}: say this as that user (sudo -u)", self.0.display()))
            }
            _ => Ok(()),
        }
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file's text without the line's end; none where it is absent.
    pub fn read(&self, name: &str) -> Result<Option<String>, String> {
        match fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(Some(text.trim_end().to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", self.path(name).display())),
        }
    }

    /// Writes a file whole or not at all, on disk when this returns. Secret ones are 0600.
    pub fn write(&self, name: &str, text: &str, secret: bool) -> Result<(), String> {
        let (path, partial) = (self.path(name), self.path(&format!(".{name}.new")));
        let write = || -> std::io::Result<()> {
            drop(fs::remove_file(&partial));
            let mode = if secret { 0o600 } else { 0o644 };
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            fs::File::open(&self.0)?.sync_all()
        };
        write().map_err(|e| format!("{}: {e}", path.display()))
    }

    /// What lies under this name, made by `make` at the first start.
    fn kept(&self, name: &str, make: impl FnOnce() -> Result<String, String>) -> Result<String, String> {
        if let Some(text) = self.read(name)?.filter(|t| !t.is_empty()) {
            return Ok(text);
        }
        let text = make()?;
        self.write(name, &format!("{text}\n"), true)?;
        Ok(text)
    }

    /// The token of `local` on this node, the same over restarts.
    pub fn local_token(&self) -> Result<String, String> {
        self.kept("local.token", || Ok(format!("lanyard_local_{}", random_hex::<32>()?)))
    }

    /// This node's name, for its audit chain.
    pub fn node(&self) -> Result<String, String> {
        let node = self.kept("node.id", || Ok(format!("node-{}", random_hex::<6>()?)))?;
        self.is_node(&node)?;
        Ok(node)
    }

    fn is_node(&self, node: &str) -> Result<(), String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if node.len() > LONGEST_NODE || !node.chars().all(fits) {
            let path = self.path("node.id");
            return Err(format!(
                "{}: no name of a node (1 to {LONGEST_NODE} letters, digits or any of -_.): put it back, or delete it with local.token",
                path.display()
            ));
        }
        Ok(())
    }

    /// What a start would find here, or make. Makes nothing.
    pub(super) fn look(&self) -> Result<String, String> {
        let path = self.0.display();
        self.is_ours()?;
        writable(&self.0)?;
        if !self.0.exists() {
            return Ok(format!("{path} would be made"));
        }
        self.read("local.token")?;
        let node = self.read("node.id")?.filter(|node| !node.is_empty());
        node.as_deref().map(|node| self.is_node(node)).transpose()?;
        let node = node.unwrap_or_else(|| "a new node".into());
        Ok(match self.server() {
            Some(pid) => format!("{path}, of {node}; process {pid} serves from it"),
            None => format!("{path}, of {node}"),
        })
    }

    /// Says where the server is.
    pub(super) fn announce(&self, server: &Server, device: SocketAddr, admin: SocketAddr) -> Result<(), String> {
        let text = serde_json::json!({
            "pid": std::process::id(),
            "device": device.to_string(),
            "admin": admin.to_string(),
            "public_url": server.public_url,
            "enrol_url": server.enrol_url,
        });
        self.write("server.json", &format!("{text}\n"), false)
    }

    /// The process that serves from this folder, as far as can be known.
    pub(super) fn server(&self) -> Option<u64> {
        let told: serde_json::Value = serde_json::from_str(&self.read("server.json").ok()??).ok()?;
        told.get("pid")?.as_u64().filter(|pid| Path::new(&format!("/proc/{pid}")).exists())
    }

    /// Tells the operator of secrets that others on this machine can read.
    pub(super) fn warn_of_readers(&self, master_key: Option<&Path>) {
        for (path, mode) in self.read_by_others(master_key) {
            tracing::warn!(path = %path.display(), mode = format!("{mode:03o}"), "others on this machine can read it");
        }
    }

    /// The same, in words.
    pub(super) fn readers(&self, master_key: Option<&Path>) -> Vec<String> {
        let told = self.read_by_others(master_key).into_iter();
        told.map(|(path, mode)| format!("{}: others on this machine can read it (mode {mode:03o})", path.display()))
            .collect()
    }

    fn read_by_others(&self, master_key: Option<&Path>) -> Vec<(PathBuf, u32)> {
        let key = master_key.map_or_else(|| self.path("master.key"), Path::to_path_buf);
        // A group may see the folder; the keys in it are for us alone.
        let secrets = [(self.0.clone(), 0o007), (key, 0o077), (self.path("local.token"), 0o077)];
        secrets.into_iter().filter_map(|(path, bits)| open_to_others(&path, bits).map(|mode| (path, mode))).collect()
    }

    pub(super) fn withdraw(&self) {
        drop(fs::remove_file(self.path("server.json")));
    }
}

/// Makes a folder where there is none, for us alone.
pub(super) fn make(path: &Path) -> Result<(), String> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|e| format!("{}: {e}", path.display()))
}

/// Whether this process could write here, or make the folder.
pub(super) fn writable(path: &Path) -> Result<(), String> {
    use rustix::fs::{Access, access};
    let there = path.ancestors().find(|above| above.exists() || above.as_os_str().is_empty());
    let there = there.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(format!("{}: not a folder", there.display()));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| format!("{}: {e}", there.display()))
}

/// The permissions, where they have any of these bits.
fn open_to_others(path: &Path, bits: u32) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & bits != 0).then_some(mode)
}

fn random_hex<const N: usize>() -> Result<String, String> {
    let mut bytes = [0; N];
    openssl::rand::rand_bytes(&mut bytes).map_err(|e| e.to_string())?;
    Ok(hex(&bytes))
}

fn usual() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if root {
        return PathBuf::from("/var/lib/lanyard");
    }
    let home = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    home.unwrap_or_default().join("lanyard")
}
