//! The server as a process, its folder, and what its store weighs.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub(crate) struct Server {
    binary: PathBuf,
    /// Removed at the end.
    pub(crate) data: PathBuf,
    database: Option<Database>,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn new(binary: &Path, database: Option<Database>) -> Self {
        // Not /tmp, which may be memory: the store is on a disk.
        let name = format!("lanyard-bench-fleet-{}-{}", std::process::id(), uuid::Uuid::new_v4());
        let data = Path::new("/var/tmp").join(name);
        std::fs::create_dir_all(&data).unwrap();
        Self { binary: binary.into(), data, database, child: None }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).env("LANYARD_DATA", &self.data).env("LANYARD_LOG", "error").stdin(Stdio::null());
        command
    }

    /// How long it takes until both ports answer.
    pub(crate) fn start(&mut self) -> Duration {
        let begun = Instant::now();
        let mut command = self.command(&["serve", "--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"]);
        if let Some(database) = &self.database {
            command.args(["--store", &database.url]);
        }
        let mut child = command.spawn().unwrap();
        while !self.data.join("server.json").exists() {
            assert!(child.try_wait().unwrap().is_none(), "the server ended");
            assert!(begun.elapsed() < Duration::from_secs(120), "the server did not start");
            std::thread::sleep(Duration::from_millis(2));
        }
        let took = begun.elapsed();
        self.child = Some(child);
        took
    }

    /// Ends it in order, and says what its store takes on disk.
    pub(crate) fn stop(&mut self) -> u64 {
        if let Some(mut child) = self.child.take() {
            assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
            child.wait().unwrap();
            // One that did not end as it should left it, and it would tell of ports that nobody listens on.
            drop(std::fs::remove_file(self.data.join("server.json")));
        }
        self.on_disk()
    }

    pub(crate) fn verb(&self, words: &[&str]) -> Output {
        self.command(words).arg("--json").output().unwrap()
    }

    /// Bytes of all records, keys and values, of a server that is stopped.
    pub(crate) fn records(&self) -> u64 {
        if let Some(database) = &self.database {
            let sum = "select sum(octet_length(key) + octet_length(value)) from lanyard_docs";
            return psql(&database.url, sum).parse().unwrap();
        }
        // By the engine itself: the version before had no verb that would say.
        let db = sled::Config::new().path(self.data.join("store")).flush_every_ms(None).open().unwrap();
        db.iter().map(|entry| entry.unwrap()).map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    pub(crate) fn on_disk(&self) -> u64 {
        match &self.database {
            Some(database) => psql(&database.url, "select pg_total_relation_size('lanyard_docs')").parse().unwrap(),
            None => weight(&self.data.join("store")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(std::fs::remove_dir_all(&self.data));
    }
}

fn weight(at: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(at) else { return at.metadata().map_or(0, |m| m.len()) };
    entries.flatten().map(|entry| weight(&entry.path())).sum()
}

/// A database of this run's own.
pub(crate) struct Database {
    base: String,
    name: String,
    url: String,
}

impl Database {
    pub(crate) fn create() -> Option<Self> {
        let base = std::env::var("LANYARD_TEST_POSTGRES").ok()?;
        let name = format!("bench_fleet_{}", uuid::Uuid::new_v4().simple());
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

fn psql(url: &str, statement: &str) -> String {
    let out = Command::new("psql").args([url, "-qAtc", statement]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}
