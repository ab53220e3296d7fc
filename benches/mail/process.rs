//! The processes: the gateway, the bare proxy, the mail server and the phones; what they take of memory and processor.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// Ticks of the kernel's accounting in a second (sysconf _SC_CLK_TCK): 100 on all Linux that there is.
const TICKS: u64 = 100;

/// One that serves, with its folder.
pub(crate) struct Process {
    child: Child,
    /// Its children do the work.
    has_workers: bool,
    /// Removed at the end.
    pub(crate) folder: PathBuf,
    pub(crate) address: SocketAddr,
}

pub(crate) fn folder(name: &str) -> PathBuf {
    // Not /tmp, which may be memory: the store is on a disk.
    let path = Path::new("/var/tmp").join(format!("lanyard-bench-mail-{name}-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

pub(crate) fn wait_for(path: &Path) -> String {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(text) = std::fs::read_to_string(path) {
            return text;
        }
        assert!(Instant::now() < limit, "{} did not come", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Listens on a port of its own, for thousands that come at once, and says where.
pub(crate) fn listen(folder: &Path) -> TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.listen(4096).unwrap();
    let listener = TcpListener::from_std(socket.into()).unwrap();
    let address = listener.local_addr().unwrap();
    std::fs::write(folder.join("address.new"), address.to_string()).unwrap();
    std::fs::rename(folder.join("address.new"), folder.join("address")).unwrap();
    listener
}

impl Process {
    /// A role of this program.
    pub(crate) fn role(name: &str, words: &[&str]) -> Self {
        let folder = folder(name);
        let own = std::env::current_exe().unwrap();
        let child = Command::new(own).arg(name).arg(&folder).args(words).spawn().unwrap();
        let address = wait_for(&folder.join("address")).parse().unwrap();
        Self { child, has_workers: false, folder, address }
    }

    /// The bare proxy, with a certificate that `root.pem` vouches for.
    pub(crate) fn bare(upstream: &str) -> Self {
        let folder = folder("bare");
        certificate(&folder);
        let own = std::env::current_exe().unwrap();
        let child = Command::new(own).arg("bare").arg(&folder).arg(upstream).spawn().unwrap();
        let address = wait_for(&folder.join("address")).parse().unwrap();
        Self { child, has_workers: false, folder, address }
    }

    pub(crate) fn lanyard(upstream: &str) -> Self {
        let folder = folder("lanyard");
        let binary = std::env::var_os("LANYARD_BENCH_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lanyard").into());
        let mut command = Command::new(binary);
        command.args(["serve", "--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"]);
        command.args(["--eas-upstream", upstream]).arg("--data").arg(&folder);
        let child = command.env("LANYARD_LOG", "error").stdin(Stdio::null()).spawn().unwrap();
        let told: serde_json::Value = serde_json::from_str(&wait_for(&folder.join("server.json"))).unwrap();
        let address = told["device"].as_str().unwrap().parse().unwrap();
        std::fs::copy(folder.join("ca.pem"), folder.join("root.pem")).unwrap();
        let server = Self { child, has_workers: false, folder, address };
        server.verb(&["settings", "set", "eas.unknown", "allow"]);
        server
    }

    /// One that has its children do the work.
    pub(crate) fn with_workers(child: Child, folder: PathBuf, address: SocketAddr) -> Self {
        Self { child, has_workers: true, folder, address }
    }

    pub(crate) fn verb(&self, words: &[&str]) {
        let binary = std::env::var_os("LANYARD_BENCH_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lanyard").into());
        let out = Command::new(binary).args(words).arg("--json").env("LANYARD_DATA", &self.folder).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// Bytes of memory that are in use.
    pub(crate) fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1024.0
    }

    /// Processor time so far, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let own = self.child.id();
        if !self.has_workers {
            return cpu(own);
        }
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
        children.split_whitespace().map(|child| cpu(child.parse().unwrap())).sum()
    }
}

/// Processor time of a process so far, user and system.
fn cpu(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// A certificate for localhost: `chain.pem`, `key.pem`, and what clients trust, `root.pem`.
pub(crate) fn certificate(folder: &Path) {
    let authority = lanyard_sim::Authority::new("Bench Root").unwrap();
    let identity = authority.server(&["localhost"]).unwrap();
    std::fs::write(folder.join("chain.pem"), identity.chain_pem().unwrap()).unwrap();
    std::fs::write(folder.join("key.pem"), identity.key_pem().unwrap()).unwrap();
    std::fs::write(folder.join("root.pem"), authority.ca_pem().unwrap()).unwrap();
}

impl Drop for Process {
    fn drop(&mut self) {
        // In order: a master that is killed leaves its workers behind.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        let limit = Instant::now() + Duration::from_secs(15);
        while Instant::now() < limit && self.has_workers && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// The phones, who do as they are told.
pub(crate) struct Phones {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Phones {
    pub(crate) fn of(server: &Process, count: usize) -> Self {
        let own = std::env::current_exe().unwrap();
        let mut command = Command::new(own);
        command
            .args(["phones", &server.address.to_string()])
            .arg(server.folder.join("root.pem"))
            .arg(count.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, orders, answers }
    }

    /// What they answer: numbers.
    pub(crate) fn order(&mut self, word: &str) -> Vec<usize> {
        writeln!(self.orders, "{word}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }
}

impl Drop for Phones {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
