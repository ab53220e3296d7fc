//! A program on a data folder of its own: its server, its verbs and its routes, and the record of what they answered.

use crate::{alike::Alike, record::Record};
use lanyard_sim::{
    Admin, Apns, MailServer, World,
    http::{Client, Request, Settings},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use time::OffsetDateTime;

/// For what the server does by itself, on a machine that builds something else meanwhile.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
/// The header that names the worst, as [`without_worst`] says.
const WORST: &str = "lanyard-worst";

/// See the module.
pub(crate) struct House {
    program: PathBuf,
    pub(crate) folder: PathBuf,
    server: Option<Child>,
    http: Client,
    base: String,
    token: String,
    pub(crate) world: World,
    pub(crate) apns: Apns,
    pub(crate) mail: MailServer,
    pub(crate) alike: Alike,
    pub(crate) record: Record,
    /// Verbs without their arguments that were carried out.
    pub(crate) verbs: BTreeSet<String>,
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.kill());
            drop(server.wait());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl House {
    /// Starts the program's server in a new folder.
    pub(crate) async fn open(program: &Path) -> Self {
        let begun = OffsetDateTime::from(std::time::SystemTime::now());
        let folder = std::env::temp_dir().join(format!("lanyard-compare-{}", uuid::Uuid::new_v4().simple()));
        let data = folder.join("data");
        std::fs::create_dir_all(&folder).unwrap();
        let (apns, mail) = (Apns::start().await.unwrap(), MailServer::start(0).await.unwrap());
        std::fs::write(folder.join("trust.pem"), apns.ca_pem().unwrap()).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = quiet(program);
        command.arg("serve").arg("--data").arg(&data).arg("--trust").arg(folder.join("trust.pem"));
        command.args(["--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--eas-upstream", &mail.url()]);
        let server = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let mut server = server.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        ready(&mut server, &folder).await;
        let read = |name: &str| std::fs::read_to_string(data.join(name)).unwrap();
        let described: Value = serde_json::from_str(&read("server.json")).unwrap();
        let address = |name: &str| described[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
        let (admin, device) = (address("admin"), address("device"));
        let base = format!("https://localhost:{}", admin.port());
        let there = World::new(read("ca.pem").as_bytes(), admin, &base, &base).unwrap();
        let mut alike = Alike::new(begun);
        alike.tell(folder.to_str().unwrap(), "folder");
        alike.tell(&format!("localhost:{}", device.port()), "device port");
        alike.tell(&own_name(read("ca.pem").as_bytes()), "name");
        alike.tell(&apns.url(), "push service");
        alike.tell(&mail.url(), "mail server");
        let url = mail.url();
        alike.tell(url.split('/').nth(2).unwrap(), "mail server's port");
        Self {
            http: Client::new(&there, None, Settings::default()).unwrap(),
            token: read("local.token").trim().to_owned(),
            world: World::of_server(&data).unwrap(),
            program: program.into(),
            server: Some(server),
            record: Record::default(),
            verbs: BTreeSet::new(),
            folder,
            base,
            apns,
            mail,
            alike,
        }
    }

    /// Ends the server, in good order.
    pub(crate) async fn close(&mut self) {
        let mut server = self.server.take().unwrap();
        let pid = rustix::process::Pid::from_child(&server);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = tokio::task::spawn_blocking(move || server.wait().unwrap());
        let ended = tokio::time::timeout(STOP, ended).await.expect("the server does not end").unwrap();
        self.record.note("lanyard serve", "its end", ended.to_string());
    }

    /// A verb with `--json`, as `local`: the document that it prints, or null.
    pub(crate) async fn verb(&mut self, words: &[&str]) -> Value {
        self.verb_of(None, words).await
    }

    /// Likewise with this person's token.
    pub(crate) async fn verb_of(&mut self, token: Option<&str>, words: &[&str]) -> Value {
        let text = self.run(token, &[words, &["--json"]].concat()).await;
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A verb as people read it, and with `--json`.
    pub(crate) async fn read(&mut self, words: &[&str]) -> Value {
        self.run(None, words).await;
        self.verb(words).await
    }

    /// A verb as people read it.
    pub(crate) async fn run_plainly(&mut self, words: &[&str]) {
        self.run(None, words).await;
    }

    async fn run(&mut self, token: Option<&str>, words: &[&str]) -> String {
        let mut command = quiet(&self.program);
        command.args(words).env("LANYARD_DATA", self.folder.join("data")).current_dir(&self.folder);
        if let Some(token) = token {
            command.env("LANYARD_TOKEN", token);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        self.learn_secrets(&stdout);
        let asked = self.alike.text(&format!("lanyard {}", words.join(" ")));
        let answer = format!("{}\n{stdout}\non stderr:\n{}", output.status, without_worst(&stderr));
        let answer = without_widths(&without_commits(&self.alike.text(&answer)));
        let verb = verb_of(words);
        self.record.note(&format!("lanyard {verb}"), &asked, answer);
        self.verbs.insert(verb);
        stdout
    }

    /// Secrets are shown once, in the answer that makes them: they are told apart by whose they are.
    fn learn_secrets(&mut self, stdout: &str) {
        let document: Value = serde_json::from_str(stdout).unwrap_or_default();
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if let Some(token) = text("token") {
            self.alike.tell(token, "a token");
        }
        if let (Some(code), Some(url)) = (text("code"), text("url")) {
            self.alike.tell(code, "a code");
            self.alike.tell(url.rsplit('/').next().unwrap(), "a key");
        }
        if let (Some(code), Some(_)) = (text("code"), text("org")) {
            self.alike.tell(code, "a code");
        }
    }

    /// GET, as `local`: the text of the answer, which is noted with its status and headers.
    pub(crate) async fn get(&mut self, route: &str, path: &str) -> String {
        let request = Request::get(format!("{}{path}", self.base));
        let answer = self.http.send(&request.header("Authorization", format!("Bearer {}", self.token))).await.unwrap();
        let mut headers: Vec<String> = answer
            .headers
            .iter()
            .filter(|(name, _)| !["date", "content-length", WORST].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        let asked = self.alike.text(&format!("GET {path}"));
        let text = self.alike.text(&body);
        let noted = format!("{}\n{}\n\n{}", answer.status, headers.join("\n"), crate::record::broken(&text));
        self.record.note(&format!("GET {route}"), &asked, noted);
        body
    }

    /// What a device did, and how that went.
    pub(crate) fn note<T: std::fmt::Debug, E: std::fmt::Debug>(
        &mut self,
        device: &str,
        act: &str,
        went: &Result<T, E>,
    ) {
        let answer = self.alike.text(&format!("{went:?}"));
        self.record.note(device, &format!("{device} {act}"), answer);
    }

    /// Waits until the server has done by itself what it is to do with a command that is held.
    pub(crate) async fn until_it_goes(&self, command: &str) {
        let admin = Admin::of_server(&self.folder.join("data")).unwrap();
        let gone = tokio::time::timeout(START, async {
            while admin.command(command).await.unwrap().state == "held" {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        gone.await.expect("its undo window does not end");
    }

    /// A file in the folder; its path.
    pub(crate) fn file(&self, name: &str, text: &[u8]) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// What is worst is looked for every few seconds: which answer says it first is chance. `lanyard status` looks anew.
fn without_worst(stderr: &str) -> String {
    let lines = stderr.lines().filter(|line| !line.ends_with(" (lanyard status)"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// What an authority ends its names with: no two have the same.
fn own_name(pem: &[u8]) -> String {
    let root = openssl::x509::X509::from_pem(pem).unwrap();
    let entry = root.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME).next().unwrap();
    let name = String::from_utf8(entry.data().as_slice().to_vec()).unwrap();
    name.rsplit(' ').next().unwrap().to_owned()
}

/// How many commits a day takes depends on which calls met in one.
fn without_commits(text: &str) -> String {
    let line = |line: &str| {
        let Some((field, value)) = line.split_once(": ") else { return line.to_owned() };
        let counts = ["commit", "expected"].contains(&field.trim().trim_matches('"'));
        if counts {
            format!("{field}: {}", value.trim_start_matches(|c: char| c.is_ascii_digit()))
        } else {
            line.to_owned()
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A time is as long as its fraction of a second, and a column as wide as its longest time: in a table with times blanks count as two.
fn without_widths(text: &str) -> String {
    if !text.contains("<now") || text.contains('"') {
        return text.to_owned();
    }
    let line = |line: &str| {
        let inside = line.trim_start();
        let words = inside.split("  ").map(str::trim).filter(|word| !word.is_empty());
        format!("{}{}", &line[..line.len() - inside.len()], words.collect::<Vec<_>>().join("  "))
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The program, with nothing from this process's own settings and no terminal.
fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANYARD_")) {
        command.env_remove(name);
    }
    command
}

async fn ready(server: &mut Child, folder: &Path) {
    let told = tokio::time::timeout(START, async {
        loop {
            let log = std::fs::read_to_string(folder.join("log")).unwrap();
            if log.lines().any(|line| line.starts_with("ready ")) {
                return;
            }
            assert!(server.try_wait().unwrap().is_none(), "the server ended at once:\n{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    told.await.expect("the server is not ready in time");
}

/// The words of a command line that name the verb, its arguments left out.
fn verb_of(words: &[&str]) -> String {
    let all = crate::verbs();
    let named = |n: &usize| all.contains(&words[..*n].join(" "));
    (1..=words.len()).find(named).map_or_else(|| words.join(" "), |n| words[..n].join(" "))
}
