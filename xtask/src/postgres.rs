//! A PostgreSQL cluster for one run of the tests: its own folder, port and password, gone at the end.
//!
//! fsync stays on: the stores' contract is about what survives, and a test that measures the wait for the disk needs
//! one to wait for.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::packages::is_root;
use crate::paths::program;
use crate::process::{output, succeeds};

/// Parent of all clusters. Not under the target folder: that may lie in root's home, which postgres cannot enter.
/// Not in /tmp, which may be memory.
const PARENT: &str = "/var/tmp";
const PREFIX: &str = "lanyard-postgres-";
const USER: &str = "lanyard";
/// Several tests at once each open pools for two nodes.
const MAX_CONNECTIONS: u32 = 400;
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running cluster. Dropping it stops the server and removes the folder.
pub(crate) struct Cluster {
    server: Child,
    folder: PathBuf,
    url: String,
}

impl Cluster {
    /// Makes and starts a cluster; returns when it takes connections.
    pub(crate) fn start() -> Outcome<Self> {
        let programs = programs().ok_or("there is no initdb")?;
        sweep(&programs);
        let folder = Path::new(PARENT).join(format!("{PREFIX}{}", std::process::id()));
        make_folder(&folder)?;
        let password = password()?;
        let cluster = initdb(&programs, &folder, &password).and_then(|()| launch(&programs, &folder));
        let (server, port) = cluster.inspect_err(|_| remove(&folder))?;
        let url = format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres");
        let mut cluster = Self { server, folder, url };
        cluster.wait(port)?;
        Ok(cluster)
    }

    /// A superuser's address of the database `postgres`; tests make databases of their own beside it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `postmaster.pid` says `ready` in its eighth line once connections are taken.
    fn wait(&mut self, port: u16) -> Outcome {
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            let status = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
            if status.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            if let Ok(Some(status)) = self.server.try_wait() {
                return Err(format!("PostgreSQL on port {port} ended at once: {status}\n{}", log(&self.folder)));
            }
            sleep(Duration::from_millis(50));
        }
        Err(format!("PostgreSQL on port {port} was not ready within {START_LIMIT:?}\n{}", log(&self.folder)))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGINT: break off all connections, end cleanly.
        succeeds(Command::new("kill").args(["-INT", &self.server.id().to_string()]));
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT && matches!(self.server.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(20));
        }
        // Errors here would hide the tests' own outcome; the next run's sweep gets another chance.
        let _ = self.server.kill();
        let _ = self.server.wait();
        remove(&self.folder);
    }
}

/// The folder with `initdb` and `postgres`, of the highest version where Debian has several side by side.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .max_by_key(|(version, _)| *version);
    debian.map(|(_, folder)| folder).or_else(|| Some(program("initdb")?.parent()?.to_owned()))
}

/// A command run as a user that PostgreSQL agrees to run as: ourselves, or postgres where we are root. (`runuser` would
/// stand between us and the server, and swallow the signal that stops it.)
fn unprivileged(program: &Path) -> Outcome<Command> {
    let mut command = Command::new(program);
    command.current_dir(PARENT);
    if is_root() {
        let id = |kind| {
            let id = output(Command::new("id").args([kind, "postgres"]))?;
            id.parse::<u32>().map_err(|e| format!("id {kind} postgres: {id}: {e}"))
        };
        command.uid(id("-u")?).gid(id("-g")?);
    }
    Ok(command)
}

fn make_folder(folder: &Path) -> Outcome {
    let mut command = Command::new("install");
    command.args(["-d", "-m", "700"]);
    if is_root() {
        command.args(["-o", "postgres", "-g", "postgres"]);
    }
    output(command.arg(folder)).map(drop)
}

/// A password, since a cluster that trusts everybody on this machine lets everybody become its owner.
fn password() -> Outcome<String> {
    let mut bytes = [0; 16];
    let mut source = fs::File::open("/dev/urandom").map_err(|e| format!("/dev/urandom: {e}"))?;
    source.read_exact(&mut bytes).map_err(|e| format!("/dev/urandom: {e}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn initdb(programs: &Path, folder: &Path, password: &str) -> Outcome {
    let secret = folder.join("password");
    fs::write(&secret, password).map_err(|e| format!("{}: {e}", secret.display()))?;
    if is_root() {
        output(Command::new("chown").arg("postgres").arg(&secret))?;
    }
    let mut command = unprivileged(&programs.join("initdb"))?;
    command.env("LC_ALL", "C.UTF-8");
    command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--username", USER, "--pwfile"]).arg(&secret);
    output(command.arg("--pgdata").arg(folder.join("data"))).map(drop)
}

/// The server as a child in our own process group, so that Ctrl-C ends it with us.
fn launch(programs: &Path, folder: &Path) -> Outcome<(Child, u16)> {
    let port = free_port()?;
    let log = fs::File::create(folder.join("log")).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut command = unprivileged(&programs.join("postgres"))?;
    command.arg("-D").arg(folder.join("data"));
    for setting in [
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        format!("port={port}"),
        format!("max_connections={MAX_CONNECTIONS}"),
        "fsync=on".to_owned(),
    ] {
        command.args(["-c", &setting]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let server = command.spawn().map_err(|e| format!("postgres did not start: {e}"))?;
    Ok((server, port))
}

fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|e| format!("no free port on 127.0.0.1: {e}"))
}

/// Ends and removes clusters of runs that were killed before they could.
fn sweep(programs: &Path) {
    for entry in fs::read_dir(PARENT).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        if Path::new("/proc").join(owner).exists() {
            continue;
        }
        if let Ok(mut stop) = unprivileged(&programs.join("pg_ctl")) {
            succeeds(stop.args(["stop", "-m", "immediate", "-D"]).arg(entry.path().join("data")));
        }
        remove(&entry.path());
    }
}

fn remove(folder: &Path) {
    if let Err(e) = fs::remove_dir_all(folder) {
        eprintln!("{} stays behind: {e}", folder.display());
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_syncs_takes_its_owner_alone_and_leaves_nothing() {
        let Some(programs) = programs() else { return eprintln!("skipped: PostgreSQL is not installed") };
        let cluster = Cluster::start().unwrap();
        let ask = |url: &str| output(Command::new(programs.join("psql")).args(["-At", "-c", "show fsync", "-d", url]));
        assert_eq!(ask(cluster.url()), Ok("on".to_owned()));
        let (user, rest) = cluster.url().split_once('@').unwrap();
        assert!(ask(&format!("{user}wrong@{rest}")).unwrap_err().contains("password authentication failed"));
        let folder = cluster.folder.clone();
        drop(cluster);
        assert!(!folder.exists());
    }
}
