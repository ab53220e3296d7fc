//! Exchange on premises: a PowerShell child with a session of its own, one line for a call and one for its answer. Killed when it is silent
//! for too long; the next call begins another.

use crate::{
    driver::{Answer, Calling, Driver, Page},
    platform,
};
use lanyard_exchange::{
    calls::Kind,
    child,
    cmdlet::{Cmdlet, Failure, Row},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{io, path::PathBuf, pin::Pin, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    time::timeout,
};

/// What the child runs.
const SCRIPT: &str = include_str!("exchange.ps1");
/// A cmdlet may take so long; a session begins with the first.
const LIMIT: Duration = Duration::from_secs(300);
/// A child that was told to end gets so long.
const END: Duration = Duration::from_secs(5);

/// Where, as whom, and by which program.
pub struct Settings {
    /// The server's full name: Kerberos needs it.
    pub host: String,
    /// `user@domain`.
    pub user: String,
    /// Their password.
    pub password: SecretString,
    /// The PowerShell to run; the system's where nothing is said.
    pub powershell: Option<PathBuf>,
    /// Where the script is put.
    pub folder: PathBuf,
}

/// See the module.
pub struct Onprem {
    settings: Settings,
    session: Mutex<Session>,
}

#[derive(Default)]
struct Session {
    child: Option<Running>,
    calls: u64,
}

struct Running {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Onprem {
    /// Starts nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, session: Mutex::default() }
    }

    async fn begin(&self) -> io::Result<Running> {
        let script = self.settings.folder.join("exchange.ps1");
        platform::write_private(&script, SCRIPT.as_bytes())?;
        let default = if cfg!(windows) { "powershell.exe" } else { "pwsh" };
        let program = self.settings.powershell.clone().unwrap_or_else(|| default.into());
        let mut command = Command::new(program);
        command.args(["-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"]).arg(script);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let gone = || io::Error::other("the child has no input or output");
        let mut stdin = process.stdin.take().ok_or_else(gone)?;
        let stdout = BufReader::new(process.stdout.take().ok_or_else(gone)?);
        let Settings { host, user, password, .. } = &self.settings;
        let login = child::login(host, user, password.expose_secret());
        stdin.write_all(login.as_bytes()).await?;
        stdin.write_all(b"\n").await?;
        Ok(Running { process, stdin, stdout })
    }

    async fn exchange(&self, cmdlet: &Cmdlet) -> Result<Vec<Row>, Failure> {
        let mut session = self.session.lock().await;
        session.calls += 1;
        let id = session.calls;
        let mut running = match session.child.take() {
            Some(running) => running,
            None => {
                let begun = self.begin().await;
                begun.map_err(|error| Failure::Busy { text: format!("PowerShell: {error}"), after: None })?
            }
        };
        // A future that is dropped leaves no child behind that still has an answer to give.
        let answer = timeout(LIMIT, talk(&mut running, id, cmdlet)).await;
        match answer {
            Ok(Ok(answer)) => {
                if !matches!(answer, Err(Failure::Login(_) | Failure::Unread(_))) {
                    session.child = Some(running);
                } else {
                    let _ = running.process.kill().await;
                }
                answer
            }
            Ok(Err(error)) => {
                let _ = running.process.kill().await;
                Err(Failure::Unread(format!("the PowerShell child: {error}")))
            }
            Err(_) => {
                let _ = running.process.kill().await;
                Err(Failure::Unread(format!("the PowerShell child was silent for {} s and was ended", LIMIT.as_secs())))
            }
        }
    }

    /// Ends the child, which removes its session: leaks fill the server's quota.
    async fn close(&self) {
        let Some(mut running) = self.session.lock().await.child.take() else { return };
        drop(running.stdin);
        if timeout(END, running.process.wait()).await.is_err() {
            let _ = running.process.kill().await;
        }
    }
}

async fn talk(running: &mut Running, id: u64, cmdlet: &Cmdlet) -> io::Result<Result<Vec<Row>, Failure>> {
    running.stdin.write_all(child::line(id, cmdlet).as_bytes()).await?;
    running.stdin.write_all(b"\n").await?;
    running.stdin.flush().await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = tokio::io::AsyncReadExt::take(&mut running.stdout, child::LONGEST as u64);
        if limited.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::Error::other("it ended"));
        }
        // Profiles and modules print what they like; an answer is an object.
        if line.trim_ascii_start().starts_with(b"{") {
            return Ok(child::answer(id, &line));
        }
    }
}

impl Driver for Onprem {
    fn call<'a>(&'a self, cmdlet: &'a Cmdlet, _: Option<&'a Page>) -> Calling<'a> {
        Box::pin(async move {
            if !cmdlet.is_allowed() {
                return Err(Failure::Refused(format!("{} is not on the list of what is called", cmdlet.name)));
            }
            Ok(Answer { rows: self.exchange(cmdlet).await?, next: None })
        })
    }

    fn kind(&self) -> Kind {
        Kind::Onprem
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.close())
    }
}

#[cfg(test)]
mod tests {
    use super::SCRIPT;
    use lanyard_exchange::cmdlets::ALLOWED;
    use std::collections::{BTreeMap, BTreeSet};

    fn quoted(text: &str) -> BTreeSet<&str> {
        text.split('\'').skip(1).step_by(2).collect()
    }

    #[test]
    fn the_script_calls_what_may_be_called_and_nothing_else() {
        let (before, rest) = SCRIPT.split_once("$allowed = @{").unwrap();
        let policy = quoted(before.split_once("$policy = ").unwrap().1);
        let lines = rest.split_once("\n}").unwrap().0.lines().filter_map(|line| line.split_once(" = "));
        let script: BTreeMap<&str, BTreeSet<&str>> = lines
            .map(|(name, parameters)| {
                let parameters = if parameters == "$policy" { policy.clone() } else { quoted(parameters) };
                (name.trim().trim_matches('\''), parameters)
            })
            .collect();
        let here = ALLOWED.iter().map(|(name, parameters)| (*name, parameters.iter().copied().collect())).collect();
        assert_eq!(script, here);
    }
}
