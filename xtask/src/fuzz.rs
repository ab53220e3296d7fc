//! `cargo xtask fuzz`: every fuzz target for some seconds, and what came of it.
//!
//! A crate's targets lie in its folder `fuzz`, which is no member of the workspace and wants a nightly toolchain. New
//! inputs go under the target folder; the committed corpus is read and left as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{dim, output, show};
use crate::steps::Steps;
use crate::{Outcome, Verb, packages, paths, tools};

pub(crate) const VERB: Verb = Verb {
    name: "fuzz",
    usage: "[--seconds N] [CRATE…]",
    about: "each fuzz target of all crates, or of those named, for N seconds (60)",
    act,
};

const SECONDS: u64 = 60;
/// One input may not take longer than this many seconds, nor the process more than so many megabytes.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=2048"];

/// One crate's folder of targets.
struct Suite {
    name: String,
    folder: PathBuf,
}

fn act(arguments: &[String]) -> Outcome {
    let (seconds, names) = read(arguments)?;
    packages::ensure(&[packages::BUILD, packages::FUZZ])?;
    let path = tools::path_with(&tools::FUZZ)?;
    let nightly = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        // The stable cargo that runs us leaves its own path in CARGO; the nightly one must find itself.
        command.args(["run", "nightly", "cargo", "fuzz"]).args(arguments).env("PATH", &path).env_remove("CARGO");
        command
    };
    let mut steps = Steps::begin();
    for suite in suites(&names)? {
        let listed = output(nightly(&["list", "--fuzz-dir"]).arg(&suite.folder));
        let Some(targets) = steps.take(&format!("{}: list", suite.name), || listed) else { continue };
        for target in targets.lines() {
            let row = format!("{}: {target}", suite.name);
            steps.take(&row, || fuzz(&suite, target, seconds, nightly(&["run", "--fuzz-dir"])));
        }
    }
    steps.end()
}

fn read(arguments: &[String]) -> Outcome<(u64, Vec<&str>)> {
    let (mut seconds, mut names) = (SECONDS, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                let number = words.next().ok_or("--seconds needs a number")?;
                seconds = number.parse().map_err(|e| format!("--seconds {number}: {e}"))?;
            }
            option if option.starts_with('-') => return Err(format!("unknown option: {option}")),
            name => names.push(name),
        }
    }
    Ok((seconds, names))
}

/// The folders `fuzz` of the workspace, of the crates named where any is: by folder (`apple`, `protocols/apple`) or by
/// crate (`lanyard-apple`); the server's own is `lanyard`.
fn suites(names: &[&str]) -> Outcome<Vec<Suite>> {
    let mut found = suite("lanyard".into(), Path::new("fuzz").into()).into_iter().collect::<Vec<_>>();
    for parent in [".", "protocols"] {
        let entries = fs::read_dir(parent).map_err(|e| format!("{parent}: {e}"))?;
        found.extend(
            entries
                .flatten()
                .filter_map(|entry| suite(entry.file_name().to_string_lossy().into(), entry.path().join("fuzz"))),
        );
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    for name in names {
        if !found.iter().any(|suite| suite.is(name)) {
            return Err(format!("no crate {name} with a folder fuzz"));
        }
    }
    found.retain(|suite| names.is_empty() || names.iter().any(|name| suite.is(name)));
    Ok(found)
}

fn suite(name: String, folder: PathBuf) -> Option<Suite> {
    folder.join("Cargo.toml").is_file().then_some(Suite { name, folder })
}

impl Suite {
    fn is(&self, name: &str) -> bool {
        name.trim_end_matches('/').trim_start_matches("protocols/").trim_start_matches("lanyard-") == self.name
    }
}

/// Runs one target, its log in a file, and prints how many inputs it tried.
fn fuzz(suite: &Suite, target: &str, seconds: u64, mut command: Command) -> Outcome {
    let work = paths::target()?.join("fuzz");
    let fresh = work.join("corpus").join(&suite.name).join(target);
    let log = work.join(format!("{}-{target}.log", suite.name));
    paths::make(&fresh)?;
    // libFuzzer writes what is new into the first folder it is given, and only reads the others.
    command.arg(&suite.folder).arg("--target-dir").arg(work.join("build")).arg(target).arg(&fresh);
    let committed = suite.folder.join("corpus").join(target);
    if committed.is_dir() {
        command.arg(fs::canonicalize(&committed).map_err(|e| format!("{}: {e}", committed.display()))?);
    }
    command.arg("--").args(LIMITS).args(["-print_final_stats=1", &format!("-max_total_time={seconds}")]);
    eprintln!("{}", dim(&format!("$ {} 2> {}", show(&command), log.display())));
    let file = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let status =
        command.stdin(Stdio::null()).stderr(file).status().map_err(|e| format!("rustup did not start: {e}"))?;
    report(target, &log, status.success())
}

fn report(target: &str, log: &Path, passed: bool) -> Outcome {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let stat = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
        line.map_or("?", str::trim).to_owned()
    };
    let executions = stat("number_of_executed_units");
    println!("{target}: {executions} executions, {} MB at most", stat("peak_rss_mb"));
    if passed {
        return Ok(());
    }
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines.iter().skip(lines.len().saturating_sub(40)).copied().collect::<Vec<_>>().join("\n");
    Err(format!("after {executions} executions, see {}\n{tail}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_crates_are_read_in_any_order() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(read(&words("")), Ok((SECONDS, vec![])));
        assert_eq!(read(&words("wbxml --seconds 5 certs")), Ok((5, vec!["wbxml", "certs"])));
        for line in ["--seconds", "--seconds many", "--second 5"] {
            assert!(read(&words(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn a_suite_goes_by_its_folder_and_by_its_crate() {
        let suite = Suite { name: "apple".into(), folder: "protocols/apple/fuzz".into() };
        for name in ["apple", "protocols/apple", "protocols/apple/", "lanyard-apple"] {
            assert!(suite.is(name), "{name}");
        }
        assert!(!suite.is("omadm"));
    }
}
