//! `cargo xtask windows`: the connector as it is built for Windows: its lints, its own tests and the peers before it, under Wine.

use std::{env, process::Command};

use crate::process::{cargo, run, succeeds};
use crate::{Outcome, Verb, packages, paths, peers};

/// GNU's, since its linker is Debian's.
const TARGET: &str = "x86_64-pc-windows-gnu";
/// The program with the connector and nothing else.
const SMALL: [&str; 7] =
    ["--package", "lanyard", "--no-default-features", "--features", "connector", "--target", TARGET];
/// The crate's own tests.
const TESTS: [&str; 4] = ["--package", "lanyard-connector", "--target", TARGET];
/// aws-lc's assembler, which Debian need not have: its outcome lies in the crate.
const NASM: (&str, &str) = ("AWS_LC_SYS_PREBUILT_NASM", "1");

pub(crate) const VERB: Verb = Verb {
    name: "windows",
    usage: "[--no-peers]",
    about: "the connector built for Windows: lints, its tests, and under Wine the peers (builds the server, unless --no-peers)",
    act,
};

fn act(arguments: &[String]) -> Outcome {
    let before_peers = match arguments {
        [] => true,
        [option] if option == "--no-peers" => false,
        other => return Err(format!("unknown options: {other:?}")),
    };
    packages::ensure(&[packages::BUILD, packages::WINDOWS])?;
    library()?;
    run(build("clippy", &SMALL).args(["--", "-D", "warnings"]))?;
    run(build("clippy", &TESTS).args(["--tests", "--", "-D", "warnings"]))?;
    run(&mut build("build", &SMALL))?;
    let runner = env::current_dir().map_err(|e| format!("the current folder: {e}"))?.join("tests/peers/wine.py");
    run(build("test", &TESTS).env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", runner))?;
    let program = paths::target()?.join(TARGET).join("debug/lanyard.exe");
    if before_peers {
        run(peers::command()?.arg("test_connector_windows").env("LANYARD_WINDOWS_BIN", &program))?;
    }
    eprintln!("{}", program.display());
    Ok(())
}

fn build(verb: &str, flags: &[&str]) -> Command {
    let mut command = cargo();
    command.arg(verb).args(flags).env(NASM.0, NASM.1);
    command
}

/// Rust's own library for Windows, which a toolchain does not bring by itself.
fn library() -> Outcome {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let print =
        ["--target", TARGET, "--crate-name", "probe", "--crate-type", "lib", "--emit", "metadata", "-o", "-", "-"];
    if succeeds(Command::new(rustc).args(print)) {
        return Ok(());
    }
    if paths::program("rustup").is_none() {
        return Err(format!("this toolchain has no library for {TARGET}, and there is no rustup to fetch it"));
    }
    run(Command::new("rustup").args(["target", "add", TARGET]))
}
