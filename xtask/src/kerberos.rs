//! `cargo xtask kerberos`: the server built with Kerberos, before a KDC of the test's own.

use crate::process::{cargo, run};
use crate::{Outcome, Verb, packages, peers};

pub(crate) const VERB: Verb = Verb {
    name: "kerberos",
    usage: "",
    about: "sign-on by tickets (the feature `kerberos`): its tests, and peers against Debian's KDC; builds the server anew",
    act,
};

fn act(_: &[String]) -> Outcome {
    packages::ensure(&[packages::BUILD, packages::KERBEROS])?;
    run(cargo().args([
        "clippy",
        "--package",
        "lanyard",
        "--features",
        "kerberos",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(cargo().args(["test", "--package", "lanyard", "--features", "kerberos", "--lib", "signon", "tickets"]))?;
    run(peers::command_with(&["--features", "kerberos"])?.arg("test_kerberos").env("LANYARD_KERBEROS", "1"))
}
