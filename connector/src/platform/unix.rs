//! Linux and its kin: modes, the terminal, signals.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where an installation lies that nobody placed elsewhere.
pub(crate) fn default_folder() -> PathBuf {
    PathBuf::from("/var/lib/lanyard-connector")
}

pub(super) fn owner_alone(options: &mut fs::OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

/// Puts a file in another's place, on disk before it returns.
pub(super) fn replace(new: &Path, path: &Path) -> io::Result<()> {
    fs::rename(new, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// A folder that its owner alone enters, made where it is absent.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Why a file that holds secrets is not taken: others may read it.
pub(crate) fn others_read(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// A line typed in, not shown where it is a secret. None where there is no terminal.
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

/// Waits until somebody ends the program.
pub(crate) async fn told_to_end() {
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
