//! The Lanyard server and its command line; or, built small (`--no-default-features --features connector`), the connector alone.

use std::process::ExitCode;

#[cfg(not(feature = "server"))]
mod small;
#[cfg(feature = "server")]
mod whole;

fn main() -> ExitCode {
    #[cfg(feature = "server")]
    return whole::main();
    #[cfg(not(feature = "server"))]
    return small::main();
}
