//! The connector alone, for the machine beside Exchange: the same verbs, without the server and without OpenSSL.

use clap::{Parser, Subcommand};
use lanyard_connector::verbs;
use std::process::ExitCode;

/// A relay beside an Exchange organisation, for a Lanyard server.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// One JSON document on stdout.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// What a connector does on its own machine.
    #[command(subcommand)]
    Connector(verbs::Verb),
}

/// Reads the command line, and does what it says.
pub(crate) fn main() -> ExitCode {
    let Arguments { verb: Verb::Connector(verb), json } = Arguments::parse();
    match tokio::runtime::Builder::new_multi_thread().thread_name("lanyard").enable_all().build() {
        Ok(runtime) => runtime.block_on(verbs::run(verb, json)),
        Err(error) => {
            eprintln!("lanyard: {error}");
            ExitCode::FAILURE
        }
    }
}
