//! The clients in `tests/peers`, which share no code with the server, against the server as built for the tests.

use std::process::Command;

use crate::process::{cargo, run};
use crate::{Outcome, paths};

/// Builds the server, then runs all peers, or those whose tests have a filter's word in their names.
pub(crate) fn run_against_the_server(filters: &[&String]) -> Outcome {
    run(cargo().args(["build", "--bin", "lanyard"]))?;
    let target = paths::target()?;
    let mut command = Command::new("python3");
    command.arg("tests/peers/run.py").args(filters);
    command.env("LANYARD_BIN", target.join("debug/lanyard")).env("LANYARD_PEERS_TARGET", target.join("peers"));
    // Python's half-compiled files would otherwise lie beside the sources.
    run(command.env("PYTHONDONTWRITEBYTECODE", "1"))
}
