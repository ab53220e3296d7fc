//! The whole program: the server and its command line.

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use lanyard::{cli, demo, serve, simulate};
use std::{path::PathBuf, process::ExitCode};

/// A mobile device management server for Apple MDM, OMA-DM and Exchange ActiveSync.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    how: cli::How,
    /// As it stands before the verb; [`cli::help::server`] reads it, with what stands after.
    #[command(flatten)]
    _before: cli::At,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve devices and administrators.
    Serve(Box<Serve>),
    /// See it work: a server on loopback and thirty simulated devices.
    Demo(demo::Options),
    /// Try simulated devices against your own server, until Ctrl-C.
    Simulate(simulate::Options),
    /// Print what a shell completes verbs and flags by.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write a man page for each verb.
    Man {
        /// The folder, made where absent.
        dir: PathBuf,
    },
    #[command(flatten)]
    Client(cli::Verb),
}

#[derive(clap::Args)]
struct Serve {
    #[command(flatten)]
    options: serve::Options,
    /// Read all that a start reads, say what it would do, and change nothing; exit code 1 where it would not start.
    #[arg(long)]
    check: bool,
}

/// Reads the command line, and does what it says.
pub(crate) fn main() -> ExitCode {
    // Before any other use of OpenSSL: what SCEP clients send depends on the order of its providers.
    if let Err(error) = lanyard_certs::providers::init() {
        return failed(&error);
    }
    let mut matches = cli::help::read(Arguments::command());
    let server = cli::help::server(&matches);
    let (arguments, server) = match Arguments::from_arg_matches_mut(&mut matches).and_then(|a| Ok((a, server?))) {
        Ok(both) => both,
        Err(error) => error.format(&mut Arguments::command()).exit(),
    };
    let mut runtime = match arguments.verb {
        Verb::Serve(_) | Verb::Demo(_) | Verb::Simulate(_) | Verb::Client(cli::Verb::Connector(_)) => {
            tokio::runtime::Builder::new_multi_thread()
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match runtime.thread_name("lanyard").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match arguments.verb {
        Verb::Serve(serve) if serve.check => match serve.options.with_file() {
            Ok(options) => checked(&runtime.block_on(serve::check::check(&options)), arguments.how.json),
            Err(error) => misused(&error),
        },
        Verb::Serve(serve) => {
            let options = serve.options;
            let mut log = options.log;
            let served = options.with_file().map_err(serve::Failure::of_words).and_then(|options| {
                log = options.log;
                runtime.block_on(serve::run(options))
            });
            match served {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    eprintln!("{}", failure.line(log));
                    ExitCode::from(failure.code)
                }
            }
        }
        Verb::Demo(options) => match runtime.block_on(demo::run(options, arguments.how.json)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => failed(&error),
        },
        Verb::Simulate(options) => runtime.block_on(simulate::run(options, arguments.how.json)),
        Verb::Completions { shell } => done(cli::help::completions(Arguments::command(), shell)),
        Verb::Man { dir } => {
            let written = cli::help::man(Arguments::command(), &dir);
            done(written.map_err(|e| format!("{}: {e}", dir.display())))
        }
        Verb::Client(verb) => runtime.block_on(cli::run(verb, server, arguments.how)),
    }
}

/// What keeps it from starting goes to stderr too: whoever starts servers by a script looks there.
fn checked(report: &serve::check::Report, json: bool) -> ExitCode {
    for point in report.points.iter().filter(|point| point.verdict == serve::check::Verdict::Error) {
        eprintln!("lanyard: {}: {}", point.what, point.text);
    }
    let text = if json { serde_json::to_string_pretty(report).map(|text| text + "\n") } else { Ok(report.lines()) };
    match text.map_err(std::io::Error::other).and_then(|text| cli::print_text(&text)) {
        Ok(()) if report.ok => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn done<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("lanyard: {error}");
    ExitCode::FAILURE
}

fn misused(error: &str) -> ExitCode {
    eprintln!("lanyard: {error}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_examples_and_each_is_what_the_program_takes() {
        let faults = cli::help::faults(Arguments::command());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn every_verb_says_what_it_is_for_in_words_of_its_own() {
        let program = Arguments::command();
        let words: Vec<String> = program
            .get_subcommands()
            .map(|verb| verb.get_about().map(ToString::to_string).unwrap_or_default())
            .collect();
        let apart: std::collections::BTreeSet<&String> = words.iter().collect();
        assert_eq!(apart.len(), words.len(), "{words:#?}");
        assert!(words.iter().all(|words| !words.is_empty()), "{words:#?}");
    }

    /// A man page's first line stands alone in `apropos`, a verb's in a list of a noun's.
    #[test]
    fn a_verb_of_a_noun_says_what_it_is_about() {
        for noun in Arguments::command().get_subcommands() {
            for verb in noun.get_subcommands() {
                let words = verb.get_about().map(ToString::to_string).unwrap_or_default();
                let alone = ["All of them", "One of them", "Make one", "Set one", "Set it", "Its ", "It "];
                let row = format!("{} {}: {words}", noun.get_name(), verb.get_name());
                assert!(words.split(' ').count() > 1 && !alone.iter().any(|begin| words.starts_with(begin)), "{row}");
            }
        }
    }
}
