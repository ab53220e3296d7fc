//! The password at the mail server: from a file, or typed at the terminal and not shown there.

use super::{Failure, print};
use crate::serve;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::{
    io::{self, BufRead as _, IsTerminal as _},
    path::Path,
};

/// See the module. Without its line's end.
pub(crate) async fn of(file: Option<&Path>, user: &str) -> Result<String, Failure> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|e| format!("--password-file {}: {e}", path.display()))?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_string());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("--password-file: the password of {user} at the mail server is needed")));
    }
    typed(user).await
}

async fn typed(user: &str) -> Result<String, Failure> {
    eprint!("password of {} at the mail server: ", print::visible(user));
    let quiet = Quiet::begin().map_err(|e| e.to_string())?;
    let (to, line) = tokio::sync::oneshot::channel();
    // Not one of the runtime's: nothing waits for it at the end.
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = io::stdin().lock().read_line(&mut text).map(|_| text);
        // Nobody waits for it any more where it was interrupted.
        drop(to.send(read));
    });
    let line = tokio::select! {
        line = line => line.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?,
        () = serve::interrupted() => return Err(Failure::Failed("nothing was done".into())),
    };
    drop(quiet);
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that has gone shows nothing either.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        eprintln!();
    }
}
