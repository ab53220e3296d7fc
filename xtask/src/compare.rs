//! `cargo xtask compare`: this build beside another program, after the same day on each.

use std::path::Path;

use crate::process::{cargo, run};
use crate::{Outcome, Verb, packages};

pub(crate) const VERB: Verb = Verb {
    name: "compare",
    usage: "PROGRAM",
    about: "all that this build and another `lanyard` show after the same day, byte for byte but for ids, times and secrets",
    act,
};

/// The day and what is compared lie in `tests/compare/`, which compares this build with itself where no program is named.
fn act(arguments: &[String]) -> Outcome {
    let [program] = arguments else { return Err("the path of the other program is needed".into()) };
    let program = Path::new(program).canonicalize().map_err(|e| format!("{program}: {e}"))?;
    packages::ensure(&[packages::BUILD])?;
    run(cargo()
        .args(["test", "--package", "lanyard", "--test", "compare", "--", "two_programs"])
        .env("LANYARD_COMPARE_WITH", program))
}
