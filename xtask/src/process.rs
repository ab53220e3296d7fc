//! Starting other programs: each is shown before it runs, and its failure becomes a sentence.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

use crate::Outcome;

/// The cargo that runs us, so that a toolchain chosen with `cargo +…` stays chosen.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Shows the command, runs it with our own input and output, and waits for its end.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let shown = show(command);
    eprintln!("{}", dim(&format!("$ {shown}")));
    let status = command.status().map_err(|e| format!("`{shown}` did not start: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}`: {status}")) }
}

/// Whether the command ends well; says nothing either way.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// What the command printed, without the white space around it. A failure holds its error output.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let shown = show(command);
    let output = command.output().map_err(|e| format!("`{shown}` did not start: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("`{shown}`: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
}

/// Program (without its folder) and arguments as one would type them. Environment is left out: it may hold secrets.
pub(crate) fn show(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// For lines that matter less than what stands between them.
pub(crate) fn dim(text: &str) -> String {
    if io::stderr().is_terminal() { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

/// For lines that nobody should miss.
pub(crate) fn loud(text: &str) -> String {
    if io::stderr().is_terminal() { format!("\x1b[1;33m{text}\x1b[0m") } else { text.to_owned() }
}
