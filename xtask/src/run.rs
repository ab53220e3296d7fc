//! `cargo xtask run`: the demonstration. A newcomer's first command, so it installs what is missing by itself.

use crate::process::{cargo, run};
use crate::{Outcome, Verb, packages};

pub(crate) const VERB: Verb = Verb {
    name: "run",
    usage: "[--once]",
    about: "a server with simulated devices of all kinds; --once ends after the table",
    act,
};

/// What the demonstration is built with. The table should stand there within five minutes of the clone on two cores,
/// and most of that is the first build: an optimised one takes longer than thirty devices ever notice. It is also the
/// build that the tests and a contributor's next steps use.
const PROFILE: &str = "dev";

/// All arguments go to `lanyard demo`.
fn act(arguments: &[String]) -> Outcome {
    packages::ensure(&[packages::BUILD])?;
    run(cargo().args(["run", "--profile", PROFILE, "--bin", "lanyard", "--", "demo"]).args(arguments))
}
