//! What differs from system to system: how files are kept for one account alone, where they lie, what is typed, and who ends the program.

use std::{fs, io, path::Path};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as system;

pub(crate) use system::{ask, default_folder, others_read, private_folder, told_to_end};
#[cfg(windows)]
pub(crate) use system::{protect, unprotect};

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
        system::owner_alone(&mut options);
    }
    let mut file = options.open(&new)?;
    io::Write::write_all(&mut file, content)?;
    file.sync_all()?;
    drop(file);
    system::replace(&new, path)
}

/// Opens a file to append to it, its owner's alone.
pub(crate) fn append_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true).read(true);
    system::owner_alone(&mut options);
    options.open(path)
}

/// Keeps only so many bytes of a file. A handle that appends may not do that on Windows: so nobody has it open.
pub(crate) fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}
