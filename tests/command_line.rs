//! The program itself: completions and man pages as others read them, which server a verb asks, and `serve --check`, which changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// A folder of a test's own.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lanyard-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The program, in an environment that says nothing.
fn lanyard(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanyard"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANYARD_")) {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", place.path("config")).env("XDG_DATA_HOME", place.path("none"));
    command
}

fn run(place: &Place, words: &[&str]) -> (Option<i32>, String, String) {
    said(&lanyard(place).args(words).stdin(Stdio::null()).output().unwrap())
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A server of this folder, until it is stopped.
struct Server(Child);

impl Server {
    fn start(place: &Place, data: &Path) -> Self {
        let any = ["--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--data"];
        let child = lanyard(place).arg("serve").args(any).arg(data).stderr(Stdio::null()).spawn().unwrap();
        let ready = (0..2400).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            data.join("server.json").exists()
        });
        assert!(ready, "it does not start");
        Self(child)
    }
    fn stop(mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM)
            .unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Every file below: what is in it, when that was written, and who may read it. An empty folder is there too.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u32)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let meta = fs::metadata(&path).unwrap();
            let bytes = if meta.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            found.insert(path.clone(), (bytes, meta.mtime(), meta.mtime_nsec(), meta.mode()));
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn shells_and_man_read_what_is_made_for_them() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, script, _) = run(&place, &["completions", shell]);
        assert_eq!(code, Some(0), "{shell}");
        assert!(["devices", "clear-passcode", "token-file"].iter().all(|word| script.contains(word)), "{shell}");
        if shell == "bash" {
            let file = place.path("lanyard.bash");
            fs::write(&file, script).unwrap();
            let read = Command::new("bash").arg("-n").arg(&file).output().unwrap();
            assert!(read.status.success() && read.stderr.is_empty(), "{:?}", said(&read));
        }
    }
    assert_eq!(run(&place, &["completions", "tcsh"]).0, Some(2));
    let pages = place.path("man/man1");
    assert_eq!(run(&place, &["man", pages.to_str().unwrap()]), (Some(0), String::new(), String::new()));
    let page = fs::read_to_string(pages.join("lanyard-devices-list.1")).unwrap();
    assert!(page.contains("Examples") && page.contains("expiring"), "{page}");
    let mut pages: Vec<PathBuf> = fs::read_dir(pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 60, "{pages:?}");
    match Command::new("groff").args(["-k", "-K", "utf-8", "-man", "-ww", "-z", "-Tutf8"]).args(&pages).output() {
        Ok(read) => assert!(read.status.success() && read.stderr.is_empty(), "{:?}", said(&read)),
        Err(error) => eprintln!("SKIPPED: no groff reads the man pages here: {error}"),
    }
    let (code, _, error) = run(&place, &["man", "/proc/none"]);
    assert!(code == Some(1) && error.starts_with("lanyard: /proc/none: "), "{code:?} {error}");
}

#[test]
fn a_wrong_verb_is_usage_with_a_way_on() {
    let place = Place::new();
    for (words, part) in [
        (&["retire", "X"][..], "lanyard wipe DEVICE --scope selective"),
        (&["devices", "X"], "lanyard devices show X"),
        (&["--data", "/x", "store", "check"], "`store` asks no server"),
        (&["--data", "/x", "serve"], "`serve` asks no server"),
        (&["devices", "list", "--url", "http://x"], "is not https://HOST:PORT"),
        (&["devices", "list", "--context", "x"], "--context: there is no "),
    ] {
        let (code, printed, error) = run(&place, words);
        assert!(code == Some(2) && printed.is_empty() && error.contains(part), "{words:?}: {code:?} {error}");
    }
}

#[test]
fn a_check_of_a_start_says_what_it_would_do_and_changes_nothing() {
    let place = Place::new();
    let data = place.path("data");
    let check = |more: &[&str]| {
        let before = snapshot(&place.0);
        let answer = run(&place, &[&["serve", "--check", "--data", data.to_str().unwrap()], more].concat());
        assert!(snapshot(&place.0) == before, "{more:?} changed something");
        answer
    };
    let (code, printed, error) = check(&[]);
    assert!(code == Some(0) && error.is_empty(), "{printed}{error}");
    assert!(printed.contains("data would be made") && printed.contains("a new one would be made"), "{printed}");
    assert!(printed.starts_with("warning  names: no --public-url"), "{printed}");

    let server = Server::start(&place, &data);
    let config = place.path("config/lanyard");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("contexts.yaml"), format!("here: {{data: {}}}\n", data.display())).unwrap();
    for words in [
        &["devices", "list", "--context", "here"][..],
        &["--context", "here", "devices", "list"],
        &["devices", "--data", data.to_str().unwrap(), "list"],
        &[
            "group",
            "list",
            "--data",
            data.to_str().unwrap(),
            "--token-file",
            data.join("local.token").to_str().unwrap(),
        ],
    ] {
        let (code, _, error) = run(&place, words);
        assert_eq!(code, Some(0), "{words:?}: {error}");
    }
    // What the server itself writes meanwhile is its own.
    let others = || {
        let mut files = snapshot(&data);
        files
            .retain(|path, _| !path.strip_prefix(&data).unwrap().starts_with("store") && !path.ends_with("store.mark"));
        files
    };
    let before = others();
    let (code, printed, error) = run(&place, &["serve", "--check", "--data", data.to_str().unwrap()]);
    assert!(code == Some(0) && printed.contains("serves from it, so it was not read"), "{printed}{error}");
    assert!(others() == before, "beside a server it changed something");
    server.stop();

    let (code, printed, error) = check(&["--public-url", "https://mdm.example.org"]);
    assert!(code == Some(0) && error.is_empty(), "{printed}{error}");
    assert!(printed.contains("whole, ") && printed.contains(", which opens the device CA"), "{printed}");
    let (_, printed, _) = check(&["--json"]);
    let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["ok"], true);

    // What keeps it from starting comes first.
    let key = place.path("key");
    fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let chain = data.join("ca.pem");
    let wrong = |more: &[&str], part: &str| {
        let (code, printed, error) = check(more);
        assert!(code == Some(1) && error.contains(part) && printed.starts_with("error "), "{more:?}: {printed}{error}");
    };
    wrong(&["--master-key", key.to_str().unwrap()], "lanyard: master key: ");
    wrong(
        &["--tls-cert", chain.to_str().unwrap(), "--tls-key", "/nowhere"],
        "lanyard: certificate: --tls-cert: /nowhere: ",
    );
    wrong(&["--trust", "/nowhere"], "lanyard: --trust: ");
    wrong(&["--device-addr", "0.0.0.0:9443"], "they cannot share a port");
    wrong(&["--store", &format!("sled:{}", place.path("other").display())], "lanyard: store: ");
    let moved = place.path("master.key");
    fs::rename(data.join("master.key"), &moved).unwrap();
    wrong(&[], "no master key is here; the store wants the one with id ");
    fs::rename(moved, data.join("master.key")).unwrap();
    fs::rename(data.join("store/db"), place.path("db")).unwrap();
    wrong(&[], "gone");
    fs::rename(place.path("db"), data.join("store/db")).unwrap();
    assert_eq!(check(&[]).0, Some(0), "it is as it was");
    assert_eq!(check(&["--tls-cert", "only"]).0, Some(2));
    assert_eq!(check(&["--config", "/nowhere"]).0, Some(2));
}
