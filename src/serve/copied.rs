//! An embedded store is looked at in a copy where nothing of it shall change.

use super::folder;
use std::path::{Path, PathBuf};

/// A copy of an embedded store with its mark, gone when this is dropped.
pub(super) struct Copied(PathBuf);

impl Copied {
    pub(super) fn of(store: &Path, mark: &Path) -> Result<Self, String> {
        let name = format!("lanyard-check-{}", uuid::Uuid::new_v4().simple());
        let copied = Self(std::env::temp_dir().join(name));
        folder::make(&copied.0)?;
        let place = copied.0.display().to_string();
        let done = copy(store, &copied.store()).and_then(|()| match mark.exists() {
            true => std::fs::copy(mark, copied.mark()).map(drop),
            false => Ok(()),
        });
        done.map_err(|e| format!("it is looked at in a copy, in {place} (TMPDIR says where), which failed: {e}"))?;
        Ok(copied)
    }
    pub(super) fn store(&self) -> PathBuf {
        self.0.join("store")
    }
    pub(super) fn mark(&self) -> PathBuf {
        self.0.join("store.mark")
    }
    /// Words on the copy, as words on what it is of.
    pub(super) fn named(&self, text: &str, store: &Path, mark: &Path) -> String {
        let plain = text.replace(&self.mark().display().to_string(), &mark.display().to_string());
        plain.replace(&self.store().display().to_string(), &store.display().to_string())
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    folder::make(to).map_err(std::io::Error::other)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
