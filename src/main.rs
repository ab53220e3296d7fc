//! The Lanyard server and its command line.

use clap::Parser;
use lanyard::serve;
use std::process::ExitCode;

/// A mobile device management server for Apple MDM, OMA-DM and Exchange ActiveSync.
#[derive(Parser)]
#[command(version)]
enum Verb {
    /// Serve devices and administrators.
    Serve(serve::Options),
}

fn main() -> ExitCode {
    // Before any other use of OpenSSL: what SCEP clients send depends on the order of its providers.
    if let Err(error) = lanyard_certs::providers::init() {
        eprintln!("lanyard: {error}");
        return ExitCode::FAILURE;
    }
    let Verb::Serve(options) = Verb::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lanyard: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve::run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lanyard: {error}");
            ExitCode::FAILURE
        }
    }
}
