//! Where things lie: the workspace's root, the target folder, programs on `PATH`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;

/// Makes the workspace's root the current folder, from wherever `cargo xtask` was called.
pub(crate) fn enter_root() -> Outcome {
    // Cargo sets it when it runs us; the one compiled in serves a binary that is called by hand.
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&here).parent().ok_or("the xtask crate has no folder above it")?;
    env::set_current_dir(root).map_err(|e| format!("{}: {e}", root.display()))
}

/// The folder that cargo builds into, made if it is not there, as an absolute path.
pub(crate) fn target() -> Outcome<PathBuf> {
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    make(&folder)?;
    fs::canonicalize(&folder).map_err(|e| format!("{}: {e}", folder.display()))
}

/// Makes a folder and those above it.
pub(crate) fn make(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))
}

/// The first program of that name on `PATH`. The system's own folders count too: root's programs (`runuser`) are
/// not on everybody's `PATH`, and Go's own installer puts it on nobody's.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let listed = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/local/go/bin"].map(PathBuf::from);
    env::split_paths(&listed).chain(usual).map(|folder| folder.join(name)).find(|file| file.is_file())
}
