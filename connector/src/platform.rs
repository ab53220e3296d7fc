//! What differs from system to system.

use std::{fs, io, path::Path};

/// Makes a file that its owner alone reads, with this content, whole or not at all, and on disk before it returns.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    write(path, content, true)
}

/// The same for what anybody may read.
pub(crate) fn write_public(path: &Path, content: &[u8]) -> io::Result<()> {
    write(path, content, false)
}

fn write(path: &Path, content: &[u8], private: bool) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    if private {
        owner_alone(&mut options);
    }
    let mut file = options.open(&new)?;
    io::Write::write_all(&mut file, content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    sync_folder(path)
}

#[cfg(unix)]
fn owner_alone(options: &mut fs::OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

/// On Windows the folder's own access list says who reads what is in it.
#[cfg(not(unix))]
fn owner_alone(_: &mut fs::OpenOptions) {}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens a file to append to it, its owner's alone.
pub(crate) fn append_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true).read(true);
    owner_alone(&mut options);
    options.open(path)
}

/// A folder that its owner alone enters, made where it is absent.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Why a file that holds secrets is not taken: others may read it.
#[cfg(unix)]
pub(crate) fn others_read(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// On Windows that is the access list's business.
#[cfg(not(unix))]
pub(crate) fn others_read(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// A line typed in, not shown where it is a secret. None where there is no terminal.
#[cfg(unix)]
pub(crate) fn ask(prompt: &str, shown: bool) -> io::Result<Option<String>> {
    use io::{BufRead as _, Write as _};
    use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
    let Ok(terminal) = fs::OpenOptions::new().read(true).write(true).open("/dev/tty") else { return Ok(None) };
    if !isatty(&terminal) {
        return Ok(None);
    }
    (&terminal).write_all(prompt.as_bytes())?;
    let before = tcgetattr(&terminal)?;
    if !shown {
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    }
    let mut line = String::new();
    let read = io::BufReader::new(&terminal).read_line(&mut line);
    if !shown {
        tcsetattr(&terminal, OptionalActions::Flush, &before)?;
        (&terminal).write_all(b"\n")?;
    }
    read?;
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_string()))
}

/// Without a way to hide what is typed a secret is not asked for: it is given by a file.
#[cfg(not(unix))]
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

/// Waits until somebody ends the program.
pub(crate) async fn told_to_end() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
