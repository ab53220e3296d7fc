//! `cargo xtask package`: a Debian package, and its whole life under systemd in a machine of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{cargo, loud, run};
use crate::{Outcome, Verb, packages, paths, peers, tools};

/// What the machine is made of: a small Debian, with what the package depends on, since nothing is fetched there.
const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
const INCLUDED: &str = "systemd,systemd-sysv,dbus,adduser,ca-certificates,libssl3,openssl";

pub(crate) const VERB: Verb = Verb {
    name: "package",
    usage: "[--no-build]",
    about: "a Debian package in target/debian, installed, upgraded and purged in a machine of its own (as root)",
    act,
};

fn act(arguments: &[String]) -> Outcome {
    let build = match arguments {
        [] => true,
        [option] if option == "--no-build" => false,
        other => return Err(format!("unknown options: {other:?}")),
    };
    packages::ensure(&[packages::BUILD, packages::TEST, packages::PACKAGE])?;
    if build {
        run(cargo().args(["build", "--release", "--bin", "lanyard"]))?;
    }
    let package = pack()?;
    if !packages::is_root() {
        eprintln!("{}", loud(&format!("{}: NOT TRIED, only root can start a machine", package.display())));
        return Ok(());
    }
    let root = debian()?;
    let mut trial = peers::command()?;
    run(trial.arg("test_package").env("LANYARD_DEB", &package).env("LANYARD_DEB_ROOT", root))?;
    eprintln!("{}", package.display());
    Ok(())
}

/// What the program says of itself, where the package takes it from.
const HELP: &str = "target/help";

/// Man pages and completions, by the program as it was built. Those of verbs that are gone do not stay.
fn help() -> Outcome {
    let (program, folder) = (paths::target()?.join("release/lanyard"), Path::new(HELP));
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|e| format!("{HELP}: {e}"))?;
    }
    run(Command::new(&program).arg("man").arg(folder.join("man")))?;
    for shell in ["bash", "zsh", "fish"] {
        let file = folder.join(format!("lanyard.{shell}"));
        let out = fs::File::create(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        run(Command::new(&program).args(["completions", shell]).stdout(out))?;
    }
    Ok(())
}

/// The package, of the program as it was built. What debuggers want stays behind: it is five sixths of it.
fn pack() -> Outcome<PathBuf> {
    help()?;
    let package = paths::target()?.join("debian/lanyard.deb");
    let path = tools::path_with(&tools::DEB)?;
    let mut command = cargo();
    command.args(["deb", "--no-build", "--strip", "--no-separate-debug-symbols", "--package", "lanyard", "--output"]);
    run(command.arg(&package).env("PATH", path))?;
    Ok(package)
}

/// The machine's system, made at the first call and never changed after.
fn debian() -> Outcome<PathBuf> {
    let root = paths::target()?.join("package/root");
    if !root.is_dir() {
        // One that was cut short is begun anew.
        let partial = root.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(|e| format!("{}: {e}", partial.display()))?;
        }
        paths::make(partial.parent().unwrap_or(Path::new(".")))?;
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", &format!("--include={INCLUDED}"), SUITE]).arg(&partial).arg(MIRROR);
        run(&mut command)?;
        fs::rename(&partial, &root).map_err(|e| format!("{}: {e}", root.display()))?;
    }
    Ok(root)
}
