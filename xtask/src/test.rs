//! `cargo xtask test`: everything that must hold before a commit, in independent steps.

use std::env;
use std::path::Path;

use crate::postgres::Cluster;
use crate::process::{cargo, loud, run};
use crate::steps::Steps;
use crate::{Outcome, Verb, packages, peers, tables, tools};

/// Of the fleet's simulation so many seeds are played with all else, and so many optimised (a third of the time, after minutes of building)
/// where it alone is asked for. `LANYARD_SEEDS` says another number.
const SEEDS: &str = "300";
const MANY_SEEDS: &str = "2000";
const OPTIMISED: &str = "profile.dev.package.lanyard.opt-level=1";

pub(crate) const VERB: Verb = Verb {
    name: "test",
    usage: "[--bless] [FILTER…]",
    about: "all checks and tests; with filters only tests and peers of such names; --bless rewrites golden files",
    act,
};

fn act(arguments: &[String]) -> Outcome {
    let (options, filters): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|word| word.starts_with('-'));
    let bless = match options.as_slice() {
        [] => false,
        [option] if *option == "--bless" => true,
        other => return Err(format!("unknown options: {other:?}")),
    };
    // Nothing below can be trusted without these.
    packages::ensure(&[packages::BUILD, packages::TEST])?;
    let mut steps = Steps::begin();
    if filters.is_empty() {
        checks(&mut steps);
    }
    tests(&mut steps, bless, &filters);
    if tables::data(Path::new(".")).is_none() {
        steps.skip(
            "makers' data",
            "our tables were not compared: neither LANYARD_SHARED_DATA nor ../shared/data is a folder",
        );
    }
    steps.end()
}

fn checks(steps: &mut Steps) {
    steps.take("format", || run(cargo().args(["fmt", "--all", "--check"])));
    steps.take("clippy", || run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])));
    match tools::path_with(&tools::DENY) {
        Ok(path) => {
            steps.take("dependencies", || {
                run(cargo().env("PATH", path).args(["deny", "check", "bans", "licenses", "sources"]))
            });
        }
        Err(reason) if env::var_os("CI").is_some() => {
            steps.take("dependencies", || Err::<(), _>(format!("no cargo-deny: {reason}")));
        }
        Err(reason) => {
            eprintln!("{}", loud(&format!("deny.toml NOT CHECKED, there is no cargo-deny: {reason}")));
            steps.skip("dependencies", "deny.toml was not checked: `cargo install cargo-deny --locked` would help");
        }
    }
}

/// All crates' tests and the peers, with a PostgreSQL of their own and with every peer required rather than skipped where absent.
fn tests(steps: &mut Steps, bless: bool, filters: &[&String]) {
    let cluster = steps.take("PostgreSQL", Cluster::start);
    let postgres = cluster.as_ref().map(Cluster::url);
    let seeds = |usual: &str| env::var("LANYARD_SEEDS").unwrap_or_else(|_| usual.into());
    steps.take("tests", || {
        let mut command = cargo();
        command.args(["test", "--workspace", "--no-fail-fast", "--"]).args(filters);
        command.env("LANYARD_REQUIRE_PEERS", "1").env("LANYARD_SEEDS", seeds(SEEDS));
        if let Some(url) = postgres {
            command.env("LANYARD_TEST_POSTGRES", url);
        }
        if bless {
            command.env("LANYARD_BLESS", "1");
        }
        run(&mut command)
    });
    if filters.iter().any(|filter| filter.contains("fleet")) {
        steps.take("fleet", || {
            let mut command = cargo();
            command.args(["test", "--config", OPTIMISED, "--package", "lanyard", "--test", "fleet"]);
            run(command.env("LANYARD_SEEDS", seeds(MANY_SEEDS)))
        });
    }
    steps.take("peers", || peers::run_against_the_server(filters, postgres));
}
