//! `cargo xtask tables`: what platforms can do, written from the makers' published data into tables of our own, which are
//! committed: facts alone (names, platforms, versions, supervision, editions, numbers), no sentence of theirs.
//!
//! The data lie in `LANYARD_SHARED_DATA`, else in `../shared/data`. A clone without them builds and is tested all the same; where
//! they are, a test here holds the committed tables against them.

mod apple;
mod windows;

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Outcome, Verb};

pub(super) const VERB: Verb = Verb {
    name: "tables",
    usage: "",
    about: "writes the tables of what platforms can do anew, from ../shared/data or LANYARD_SHARED_DATA",
    act: tables,
};

/// A table: the file it is, and what makes its text from the folder of data.
struct Table {
    path: &'static str,
    text: fn(&Path) -> Outcome<String>,
}

const TABLES: [Table; 3] = [apple::KEYS, apple::COMMANDS, windows::TABLE];

/// The folder of data, where there is one. `root` is the workspace's.
pub(crate) fn data(root: &Path) -> Option<PathBuf> {
    let data = std::env::var_os("LANYARD_SHARED_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    data.is_dir().then_some(data)
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn tables(_: &[String]) -> Outcome {
    let data = data(Path::new(".")).ok_or("neither LANYARD_SHARED_DATA nor ../shared/data is a folder")?;
    for table in TABLES {
        fs::write(table.path, (table.text)(&data)?).map_err(|e| format!("{}: {e}", table.path))?;
        println!("{}", table.path);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_tables_are_what_the_data_say() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let Some(data) = data(&root) else {
            println!("skipped: no copy of the makers' data, neither in LANYARD_SHARED_DATA nor in ../shared/data");
            return;
        };
        for table in TABLES {
            let committed = fs::read_to_string(root.join(table.path)).unwrap();
            assert!(committed == (table.text)(&data).unwrap(), "{}: run `cargo xtask tables`", table.path);
        }
    }
}
