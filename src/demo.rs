//! `lanyard demo`: a server of its own on loopback, in a temporary folder, and the simulators' thirty devices playing on it.

use crate::serve::{self, Running, interrupted};
use lanyard_sim::demo::{Board, Played, Site, Stage};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// The flags of `lanyard demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// End after the table, with a failure where anything fell short.
    #[arg(long)]
    pub once: bool,
}

/// Plays, prints the table (or, for `json`, one document) and, unless told `once`, goes on serving until it is interrupted.
/// `false`: something fell short.
pub async fn run(options: Options, json: bool) -> Result<bool, String> {
    let folder = Temporary::new()?;
    let result = played_in(&folder.0, options.once, json).await;
    drop(folder);
    result
}

async fn played_in(folder: &Path, once: bool, json: bool) -> Result<bool, String> {
    let stage = Stage::set().await.map_err(|e| e.to_string())?;
    let running = serve::start(&settings(folder, &stage)?).await?;
    eprintln!("lanyard demo: a server on loopback ({}), and thirty simulated devices", running.server.public_url);
    let played = tokio::select! {
        played = play(&running, stage) => played,
        () = interrupted() => Err("interrupted".into()),
    };
    let good = match &played {
        Ok(played) => {
            if json {
                println!("{:#}", played.document);
            } else {
                println!("\n{}", played.table);
            }
            played.short.is_empty()
        }
        Err(_) => false,
    };
    if let (false, Ok(played)) = (once, &played) {
        show_what_to_try(folder, played).await?;
        interrupted().await;
    }
    let ended = played.map(drop);
    running.stop().await;
    ended.map(|()| good)
}

/// A server for this machine only: any two ports of loopback, the stand-in behind it, the push service's root trusted.
fn settings(folder: &Path, stage: &Stage) -> Result<serve::Options, String> {
    let trust = folder.join("trust.pem");
    let roots = stage.trust_pem().map_err(|e| e.to_string())?;
    std::fs::write(&trust, roots).map_err(|e| format!("{}: {e}", trust.display()))?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(serve::Options {
        data: Some(folder.to_path_buf()),
        device_addr: Some(any),
        admin_addr: Some(any),
        eas_upstream: Some(stage.upstream_url()),
        trust: Some(trust),
        ..serve::Options::default()
    })
}

async fn play(running: &Running, stage: Stage) -> Result<Played, String> {
    let site = Site {
        ca_pem: running.server.authority.root_pem().into_bytes(),
        device: running.device,
        admin: running.admin,
        public_url: running.server.public_url.clone(),
        enrol_url: running.server.enrol_url.clone(),
        token: running.folder.local_token()?,
    };
    stage.play(&site, &Board::new()).await.map_err(|e| e.to_string())
}

/// Each line that is set in works as it stands, once the first has been said.
async fn show_what_to_try(folder: &Path, played: &Played) -> Result<(), String> {
    let lanyard = program();
    let url = played.invite_one_more().await.map_err(|e| e.to_string())?;
    eprintln!("The server goes on, and so do the devices that are left. Three things to try, in another terminal:\n");
    eprintln!("    export LANYARD_DATA={}\n", word(&folder.display().to_string()));
    eprintln!("1. Look at what needs somebody, and at who has what:\n");
    eprintln!("    {lanyard} status\n    {lanyard} devices list\n");
    if let Some(left) = &played.left {
        eprintln!("2. Lose an iPhone, and see it proved that it is erased:\n");
        eprintln!("    {lanyard} wipe {} --scope full --reason \"left on a train\" --wait\n", word(left));
    }
    eprintln!("3. Bring one of your own, which does as it is told until you wipe it:\n");
    eprintln!("    {lanyard} simulate --channel apple --url {}\n\nCtrl-C ends the demo.", word(&url));
    Ok(())
}

/// How this program was called, from whatever folder.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    let path = std::env::current_exe().ok().filter(|_| called.contains('/'));
    path.map_or_else(|| "lanyard".into(), |path| word(&path.display().to_string()))
}

/// A word for a shell.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// A folder that goes when this does.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self, String> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("lanyard-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own clearing of its temporary folder.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_word_is_one_for_a_shell() {
        for (text, want) in [("/tmp/lanyard-demo-1", "/tmp/lanyard-demo-1"), ("a b", "'a b'"), ("it's", r"'it'\''s'")] {
            assert_eq!(super::word(text), want);
        }
    }
}
