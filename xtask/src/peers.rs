//! The clients in `tests/peers`, which share no code with the server, against the server as built for the tests.

use std::process::Command;

use crate::process::{cargo, run};
use crate::{Outcome, paths};

/// Builds the server, then runs all peers, or those whose tests have a filter's word in their names. `postgres`: a superuser's
/// address, for those that need two nodes.
pub(crate) fn run_against_the_server(filters: &[&String], postgres: Option<&str>) -> Outcome {
    let mut command = command()?;
    command.args(filters);
    if let Some(url) = postgres {
        command.env("LANYARD_TEST_POSTGRES", url);
    }
    run(&mut command)
}

/// Builds the server; what runs the peers against it, with every peer required rather than skipped where absent.
pub(crate) fn command() -> Outcome<Command> {
    command_with(&[])
}

/// The same, built with more flags.
pub(crate) fn command_with(flags: &[&str]) -> Outcome<Command> {
    run(cargo().args(["build", "--bin", "lanyard"]).args(flags))?;
    let target = paths::target()?;
    let mut command = Command::new("python3");
    command.arg("tests/peers/run.py");
    command.env("LANYARD_BIN", target.join("debug/lanyard")).env("LANYARD_PEERS_TARGET", target.join("peers"));
    // Python's half-compiled files would otherwise lie beside the sources.
    command.env("LANYARD_REQUIRE_PEERS", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
