//! `cargo xtask bench`: what things cost, beside a baseline in the same run. No test rests on it: machines are noisy.

use crate::postgres::Cluster;
use crate::process::{cargo, run};
use crate::{Outcome, Verb, packages};

pub(crate) const VERB: Verb = Verb {
    name: "bench",
    usage: "[idle|queue|fleet|mail]",
    about: "idle polls beside a bare hyper server; durable commands beside the bare engine (LANYARD_BENCH_SECONDS, 5); a fleet of \
            50,000 beside the version before, held Pings and what passes the gateway beside bare hyper and nginx (only where they are named)",
    act,
};

fn act(arguments: &[String]) -> Outcome {
    let wanted: Vec<&str> = match arguments {
        [] => vec!["idle", "queue"],
        [name] if ["idle", "queue", "fleet", "mail"].contains(&name.as_str()) => vec![name],
        other => return Err(format!("idle, queue, fleet or mail, not {other:?}")),
    };
    packages::ensure(&[packages::BUILD, packages::TEST])?;
    let cluster = Cluster::start()?;
    for name in wanted {
        run(cargo()
            .args(["bench", "--package", "lanyard", "--bench", name])
            .env("LANYARD_TEST_POSTGRES", cluster.url()))?;
    }
    Ok(())
}
