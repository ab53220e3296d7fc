//! Windows. A file has no mode there: what lies in the installation's folder is guarded by that folder's access list, which enrolling sets,
//! and the key that seals the secrets by DPAPI besides.
//!
//! **DPAPI in the scope of the account, not of the machine.** The connector is a service under an account of its own. What is protected for
//! the machine any program on it opens, whoever runs it, so that the access list would be all there is; what is protected for the account
//! opens for nobody else, on no other machine, and not from a backup or a disk that was taken out. The price: `enrol` has to run as the
//! account that the service runs as, with its password known to Windows (a task of the kind "do not store password" has no such key).
//!
//! The tools that Windows brings are run for what no crate with a safe interface does.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};
use windows_dpapi::{Scope, decrypt_data, encrypt_data};

/// Who besides the account itself: the system, and administrators, who can take any file for themselves anyway.
const ALSO: [&str; 2] = ["*S-1-5-18", "*S-1-5-32-544"];
/// A file that a virus scanner looks into cannot be replaced for a moment: access denied, a sharing or a lock violation.
const HELD: [i32; 3] = [5, 32, 33];
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Where an installation lies that nobody placed elsewhere.
pub(crate) fn default_folder() -> PathBuf {
    let base = std::env::var_os("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into());
    PathBuf::from(base).join("Lanyard").join("connector")
}

/// The folder's access list is handed down to its files.
pub(super) fn owner_alone(_: &mut fs::OpenOptions) {}

/// Puts a file in another's place: one step of the file system, which is NTFS's to keep. A folder cannot be flushed by itself.
pub(super) fn replace(new: &Path, path: &Path) -> io::Result<()> {
    for _ in 1..TRIES {
        match fs::rename(new, path) {
            Err(error) if error.raw_os_error().is_some_and(|code| HELD.contains(&code)) => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    fs::rename(new, path)
}

/// A folder that this account, the system and administrators alone enter, made where it is absent.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let account = account()?;
    let may = [account.as_str()].into_iter().chain(ALSO).map(|who| format!("{who}:(OI)(CI)F"));
    // Nothing of what stood above it, such as `%ProgramData%`, which everybody reads, is handed down any more.
    let done = output(tool("icacls.exe").arg(path).arg("/inheritance:r").arg("/grant:r").args(may).arg("/q"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = [done.stdout, done.stderr].concat();
    Err(io::Error::other(format!("its access list cannot be set: {}", String::from_utf8_lossy(&said).trim())))
}

/// That is the access list's business.
pub(crate) fn others_read(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Without a way to hide what is typed a secret is not asked for: it is given by a file.
pub(crate) fn ask(prompt: &str, shown: bool) -> io::Result<Option<String>> {
    use io::{BufRead as _, IsTerminal as _, Write as _};
    if !shown || !io::stdin().is_terminal() {
        return Ok(None);
    }
    io::stderr().write_all(prompt.as_bytes())?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_string()))
}

/// Waits until somebody ends the program: Ctrl-C or Ctrl-Break, a window that is closed, the system's end.
pub(crate) async fn told_to_end() {
    use tokio::signal::windows;
    let (Ok(mut c), Ok(mut pause), Ok(mut closed), Ok(mut down)) =
        (windows::ctrl_c(), windows::ctrl_break(), windows::ctrl_close(), windows::ctrl_shutdown())
    else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = c.recv() => {}
        _ = pause.recv() => {}
        _ = closed.recv() => {}
        _ = down.recv() => {}
    }
}

/// For this account on this machine alone, and for this purpose. See the module.
pub(crate) fn protect(open: &[u8], purpose: &str) -> io::Result<Vec<u8>> {
    encrypt_data(open, Scope::User, Some(purpose.as_bytes())).map_err(|error| io::Error::other(format!("{error:#}")))
}

/// What [`protect`] made. An error: another account's, another machine's, for another purpose, or damaged.
pub(crate) fn unprotect(protected: &[u8], purpose: &str) -> io::Result<Vec<u8>> {
    decrypt_data(protected, Scope::User, Some(purpose.as_bytes()))
        .map_err(|error| io::Error::other(format!("{error:#}; it opens only for the account that enrolled")))
}

/// Who runs this, as `icacls` takes it.
fn account() -> io::Result<String> {
    let said = output(tool("whoami.exe").args(["/user", "/fo", "csv", "/nh"]))?;
    named(&String::from_utf8_lossy(&said.stdout))
        .ok_or_else(|| io::Error::other("whoami.exe does not say who runs this"))
}

/// `"corp\connector","S-1-5-21-…"`: the number, since a name comes in the code page of its console. Wine says the name alone.
fn named(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.trim().split(',').map(|field| field.trim_matches('"')).collect();
    match fields.iter().find(|field| field.starts_with("S-1-")) {
        Some(sid) => Some(format!("*{sid}")),
        None => fields.first().filter(|name| name.contains('\\')).map(|name| (*name).to_string()),
    }
}

/// One of Windows' own tools, from where Windows lies and from nowhere else.
fn tool(name: &str) -> Command {
    let base = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
    Command::new(PathBuf::from(base).join("System32").join(name))
}

fn output(command: &mut Command) -> io::Result<Output> {
    let done = command.stdin(Stdio::null()).output();
    done.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", command.get_program().display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_by_its_number() {
        for (line, wanted) in [
            ("\"corp\\connector\",\"S-1-5-21-1-2-3-1001\"\r\n", Some("*S-1-5-21-1-2-3-1001")),
            ("\"nt authority\\system\",\"S-1-5-18\"\r\n", Some("*S-1-5-18")),
            ("VM\\root\r\n", Some("VM\\root")),
            ("", None),
            ("ERROR: ", None),
        ] {
            assert_eq!(named(line).as_deref(), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_protected_opens_for_its_purpose_alone() {
        let protected = protect(b"thirty-two bytes that open a seal", "seal").unwrap();
        assert!(!protected.windows(10).any(|part| part == b"thirty-two"));
        assert_eq!(unprotect(&protected, "seal").unwrap(), b"thirty-two bytes that open a seal");
        assert!(unprotect(&protected, "another").is_err());
        assert!(unprotect(b"no such thing", "seal").is_err());
    }

    #[test]
    fn a_file_that_is_open_is_replaced_once_it_is_closed() {
        let folder = std::env::temp_dir().join(format!("lanyard-platform-{}", std::process::id()));
        private_folder(&folder).unwrap();
        let (path, new) = (folder.join("file"), folder.join("file.new"));
        fs::write(&path, "before").unwrap();
        fs::write(&new, "after").unwrap();
        // Nobody else may touch it meanwhile, as with a scanner.
        let held =
            std::os::windows::fs::OpenOptionsExt::share_mode(fs::OpenOptions::new().read(true), 0).open(&path).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(PAUSE * 3);
                drop(held);
            });
            replace(&new, &path).unwrap();
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        let _ = fs::remove_dir_all(folder);
    }
}
