//! `cargo xtask VERB`: sets up what is missing on this machine, then runs, tests or fuzzes.
//!
//! A verb is a file that ends in `VERB`, and a line in [`VERBS`]. Nothing here depends on another crate, so that a
//! fresh clone gets to the first useful line within seconds.

#![expect(clippy::disallowed_methods, reason = "it waits for other programs, and says how long they took")]

use std::process::ExitCode;

mod bench;
mod compare;
mod fuzz;
mod kerberos;
mod package;
mod packages;
mod paths;
mod peers;
mod postgres;
mod process;
mod run;
mod steps;
mod tables;
mod test;
mod tools;
mod windows;

/// What a verb leaves behind: nothing, or one sentence on what went wrong.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// One thing that `cargo xtask` can do.
pub(crate) struct Verb {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    /// Gets the arguments after the verb's name. The current folder is the workspace's root.
    act: fn(&[String]) -> Outcome,
}

const VERBS: &[Verb] = &[
    run::VERB,
    test::VERB,
    fuzz::VERB,
    bench::VERB,
    tables::VERB,
    compare::VERB,
    package::VERB,
    kerberos::VERB,
    windows::VERB,
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        usage();
        return if matches!(name.as_str(), "help" | "--help" | "-h") { ExitCode::SUCCESS } else { ExitCode::from(2) };
    };
    match paths::enter_root().and_then(|()| (verb.act)(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask {name}: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn usage() {
    eprintln!("cargo xtask VERB\n");
    for verb in VERBS {
        eprintln!("  {:<44} {}", format!("{} {}", verb.name, verb.usage), verb.about);
    }
}
