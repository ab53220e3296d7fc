//! The two servers, each a process of its own, and what they have used of the processor.

use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Ticks of the kernel's accounting in a second (sysconf _SC_CLK_TCK): 100 on all Linux that there is.
const TICKS: u64 = 100;

pub(crate) struct Process {
    child: Child,
    /// Removed at the end.
    folder: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) address: SocketAddr,
    /// What clients trust, DER.
    pub(crate) root: Vec<u8>,
}

fn folder(name: &str) -> PathBuf {
    // Not /tmp, which may be memory: the store is on a disk.
    let path =
        Path::new("/var/tmp").join(format!("lanyard-bench-{name}-{}-{}", std::process::id(), uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn wait_for(path: &Path) -> String {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(text) = std::fs::read_to_string(path) {
            return text;
        }
        assert!(Instant::now() < limit, "{} did not come", path.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn root(pem: &[u8]) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}

impl Process {
    pub(crate) fn lanyard(postgres: Option<&str>) -> Self {
        let folder = folder("lanyard");
        let data = folder.join("data");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanyard"));
        command.args(["serve", "--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"]).arg("--data").arg(&data);
        if let Some(url) = postgres {
            command.args(["--store", url]);
        }
        let child = command.env("LANYARD_LOG", "error").stdin(Stdio::null()).spawn().unwrap();
        let told: serde_json::Value = serde_json::from_str(&wait_for(&data.join("server.json"))).unwrap();
        let address = told["device"].as_str().unwrap().parse().unwrap();
        let root = root(&std::fs::read(data.join("ca.pem")).unwrap());
        Self { child, folder, data, address, root }
    }

    /// The bare server takes the same clients.
    pub(crate) fn bare(lanyard: &Self) -> Self {
        let folder = folder("bare");
        let authority = lanyard_sim::Authority::new("Bench Root").unwrap();
        let identity = authority.server(&["localhost"]).unwrap();
        std::fs::write(folder.join("chain.pem"), identity.chain_pem().unwrap()).unwrap();
        std::fs::write(folder.join("key.pem"), identity.key_pem().unwrap()).unwrap();
        let shown = lanyard.verb(&["ca", "show"]);
        let pem = |part: &str| shown[part]["pem"].as_str().unwrap().to_string();
        std::fs::write(folder.join("clients.pem"), pem("root") + &pem("issuing")).unwrap();
        let own = std::env::current_exe().unwrap();
        let child = Command::new(own).arg("bare-server").arg(&folder).spawn().unwrap();
        let address = wait_for(&folder.join("address")).parse().unwrap();
        let root = root(&authority.ca_pem().unwrap());
        Self { child, data: folder.clone(), folder, address, root }
    }

    pub(crate) fn verb(&self, words: &[&str]) -> serde_json::Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanyard"));
        let out = command.args(words).arg("--json").env("LANYARD_DATA", &self.data).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    pub(crate) fn invite(&self, channel: &str, number: usize) -> serde_json::Value {
        self.verb(&["invite", "--channel", channel, "--user", &format!("user{number}@example.org")])
    }

    /// Processor time so far, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1000 / TICKS)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A database of this run's own.
pub(crate) struct Database {
    base: String,
    name: String,
    pub(crate) url: String,
}

impl Database {
    pub(crate) fn create() -> Option<Self> {
        let base = std::env::var("LANYARD_TEST_POSTGRES").ok()?;
        let name = format!("bench_{}", std::process::id());
        psql(&base, &format!("create database {name}"));
        let url = format!("{}/{name}", base.rsplit_once('/').unwrap().0);
        Some(Self { base, name, url })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        psql(&self.base, &format!("drop database {} with (force)", self.name));
    }
}

fn psql(url: &str, statement: &str) {
    assert!(Command::new("psql").args([url, "-qc", statement]).status().unwrap().success());
}
