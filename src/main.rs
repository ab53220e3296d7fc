//! The Lanyard server and its command line.

use clap::{Parser, Subcommand};
use lanyard::{cli, demo, serve, simulate};
use std::process::ExitCode;

/// A mobile device management server for Apple MDM, OMA-DM and Exchange ActiveSync.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    how: cli::How,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve devices and administrators.
    Serve(serve::Options),
    /// See it work: a server on loopback and thirty simulated devices.
    Demo(demo::Options),
    /// Try simulated devices against your own server, until Ctrl-C.
    Simulate(simulate::Options),
    #[command(flatten)]
    Client(cli::Verb),
}

fn main() -> ExitCode {
    // Before any other use of OpenSSL: what SCEP clients send depends on the order of its providers.
    if let Err(error) = lanyard_certs::providers::init() {
        return failed(&error);
    }
    let arguments = Arguments::parse();
    let mut runtime = match arguments.verb {
        Verb::Serve(_) | Verb::Demo(_) | Verb::Simulate(_) => tokio::runtime::Builder::new_multi_thread(),
        Verb::Client(_) => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match runtime.thread_name("lanyard").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match arguments.verb {
        Verb::Serve(options) => match options.with_file() {
            Ok(options) => match runtime.block_on(serve::run(options)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            },
            Err(error) => {
                eprintln!("lanyard: {error}");
                ExitCode::from(2)
            }
        },
        Verb::Demo(options) => match runtime.block_on(demo::run(options, arguments.how.json)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => failed(&error),
        },
        Verb::Simulate(options) => runtime.block_on(simulate::run(options, arguments.how.json)),
        Verb::Client(verb) => runtime.block_on(cli::run(verb, arguments.how)),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("lanyard: {error}");
    ExitCode::FAILURE
}
