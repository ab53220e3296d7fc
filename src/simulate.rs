//! `lanyard simulate`: simulated devices against a server of one's own. They enrol over the wire, do as they are told until they are
//! wiped or Ctrl-C ends this, and what happens to them is shown line by line.

mod entry;
mod place;
mod words;

use crate::{
    cli::{self, Failure, print},
    clock::{self, Timestamp},
    documents::At,
    serve,
};
use lanyard_sim::{
    Act, Effect, Error, World,
    trial::{End, Entry, Member, News},
};
use serde_json::{Value, json};
use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::UNIX_EPOCH,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

/// The flags of `lanyard simulate`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// By which protocol the devices are managed.
    #[arg(long, value_enum)]
    channel: Channel,
    /// apple and activesync: the invitation's url, as `lanyard invite` prints it. Else the server's, https://NAME; that of the data folder's server where none is said.
    #[arg(long, required_if_eq("channel", "apple"))]
    url: Option<String>,
    /// windows and activesync: the invitation's code, as `lanyard invite` prints it.
    #[arg(long, required_if_eq("channel", "windows"))]
    code: Option<String>,
    /// windows: the user's name, as invited. activesync: the name at the mail server.
    #[arg(long, required_if_eq("channel", "windows"))]
    user: Option<String>,
    /// activesync: file with the user's password at the mail server; asked for where there is none.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// So many devices; more than one need an invitation for so many (`lanyard invite --uses N --group G`).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Data folder of a server on this machine.
    #[arg(long, env = "LANYARD_DATA", hide_env_values = true)]
    data: Option<PathBuf>,
    /// Roots (PEM) by which the server's certificate is trusted, besides the system's; LANYARD_CA or `ca.pem` of the data folder where none are said.
    #[arg(long)]
    ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Channel {
    Apple,
    Windows,
    Activesync,
}

impl Channel {
    /// As devices of the API name it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Apple => "apple",
            Self::Windows => "omadm",
            Self::Activesync => "activesync",
        }
    }
}

/// Plays until all devices have ended or it is interrupted. Failure: something is missing, or not all could enrol.
pub async fn run(options: Options, json: bool) -> ExitCode {
    cli::ended(play(&options, json).await)
}

async fn play(options: &Options, json: bool) -> Result<bool, Failure> {
    let (mut world, acts) = place::find(options).await?;
    let entry = entry::of(options, &mut world).await?;
    let mut trial = Trial::new(options.channel, &entry, options.count, &world, json)?;
    print::say(words::pace(options.channel));
    print::say("their keys are in memory alone: what is still enrolled when this ends is never heard again");
    trial.go(entry, acts).await?;
    if json {
        print::text(&format!("{:#}\n", trial.document())).map_err(cli::unprinted)?;
    }
    Ok(trial.seen.iter().all(|seen| seen.state != State::New))
}

/// What is known of one device.
struct Seen {
    name: String,
    serial: String,
    identity: String,
    state: State,
    enrolled: Option<Timestamp>,
    acts: Vec<Act>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Enrolled,
    Erased,
    Left,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::New => "not_enrolled",
            Self::Enrolled => "enrolled",
            Self::Erased => "erased",
            Self::Left => "left",
        }
    }
}

/// The devices, and what is told of them.
struct Trial {
    channel: Channel,
    seen: Vec<Seen>,
    /// Who has yet to enrol, in order.
    waiting: Vec<Member>,
    lives: JoinSet<(usize, End)>,
    news: UnboundedSender<(usize, News)>,
    heard: Option<UnboundedReceiver<(usize, News)>>,
    json: bool,
    warned: bool,
}

/// Who enrolled, or why not; in order.
type Enrolling = UnboundedReceiver<Result<Member, Error>>;

impl Trial {
    fn new(channel: Channel, entry: &Entry, count: u32, world: &World, json: bool) -> Result<Self, Failure> {
        let made = (1..=count as usize).map(|number| Member::new(entry, number, world)).collect::<Result<Vec<_>, _>>();
        let waiting = made.map_err(|e| e.to_string())?;
        let seen = waiting.iter().map(|member| Seen {
            name: member.name.clone(),
            serial: member.serial.clone(),
            identity: member.identity.clone(),
            state: State::New,
            enrolled: None,
            acts: Vec::new(),
        });
        let (seen, (news, heard)) = (seen.collect(), unbounded_channel());
        Ok(Self { channel, seen, waiting, lives: JoinSet::new(), news, heard: Some(heard), json, warned: false })
    }

    /// Until all have ended, or it is interrupted. An error: not even the first could enrol.
    async fn go(&mut self, entry: Entry, mut acts: UnboundedReceiver<Act>) -> Result<(), Failure> {
        let Some(mut heard) = self.heard.take() else { return Ok(()) };
        let (enrolling, mut enrolled) = enrol(std::mem::take(&mut self.waiting), entry);
        let (mut to_come, mut next) = (true, 0);
        let interrupted = serve::interrupted();
        tokio::pin!(interrupted);
        while to_come || !self.lives.is_empty() {
            tokio::select! {
                // What a device did is shown before that it is gone.
                biased;
                Some(act) = acts.recv() => self.acted(act)?,
                Some((at, news)) = heard.recv() => self.told(at, &news)?,
                one = enrolled.recv(), if to_come => match one {
                    Some(Ok(member)) => {
                        self.enrolled(next, member)?;
                        next += 1;
                    }
                    Some(Err(error)) => self.refused(next, &error)?,
                    None => to_come = false,
                },
                Some(ended) = self.lives.join_next() => {
                    let (at, end) = ended.map_err(|e| e.to_string())?;
                    self.ended(at, end)?;
                }
                () = &mut interrupted => {
                    enrolling.abort();
                    break;
                }
            }
        }
        self.last_words();
        Ok(())
    }

    fn acted(&mut self, act: Act) -> Result<(), Failure> {
        let Some(at) = self.seen.iter().position(|seen| seen.identity == act.device) else { return Ok(()) };
        // That it is erased is said when it is: once its answer was heard.
        let line = (!matches!(act.effect, Effect::Wiped | Effect::Retired)).then(|| words::done(&act));
        let seen = self.seen.get_mut(at);
        let early = seen.is_some_and(|seen| {
            seen.acts.push(act);
            seen.state == State::New
        });
        // What comes with its first messages follows upon the line that it is enrolled.
        match line.filter(|_| !early) {
            Some(line) => self.line(at, &line),
            None => Ok(()),
        }
    }

    fn told(&self, at: usize, news: &News) -> Result<(), Failure> {
        let serial = self.seen.get(at).map(|seen| seen.serial.as_str()).unwrap_or_default();
        self.line(at, &words::news(news, serial))
    }

    fn enrolled(&mut self, at: usize, member: Member) -> Result<(), Failure> {
        let (serial, unpushed) = (member.serial.clone(), member.unpushed);
        let mut early = Vec::new();
        if let Some(seen) = self.seen.get_mut(at) {
            (seen.state, seen.enrolled) = (State::Enrolled, Some(clock::system().wall()));
            early.extend(seen.acts.iter().map(words::done));
        }
        self.line(at, &format!("enrolled; lanyard devices show {serial}"))?;
        for line in early {
            self.line(at, &line)?;
        }
        if unpushed && !std::mem::replace(&mut self.warned, true) {
            print::say(words::UNPUSHED);
        }
        let news = self.news.clone();
        self.lives.spawn(async move { (at, member.live(at, news).await) });
        Ok(())
    }

    /// Nobody enrols after one who was refused. Those who are in live on.
    fn refused(&self, at: usize, error: &Error) -> Result<(), Failure> {
        let reason = words::refused(error);
        if at == 0 {
            return Err(Failure::Failed(reason));
        }
        self.line(at, &format!("not enrolled: {reason}"))?;
        let more = if error.is_transport() { String::new() } else { words::more(self.channel, self.seen.len()) };
        print::say(format!("{at} of {} enrolled, and go on{more}", self.seen.len()));
        Ok(())
    }

    fn ended(&mut self, at: usize, end: End) -> Result<(), Failure> {
        let Some(seen) = self.seen.get_mut(at) else { return Ok(()) };
        seen.state = match end {
            End::Erased => State::Erased,
            End::Left => State::Left,
        };
        let line = words::gone(end, seen.acts.last());
        self.line(at, &line)
    }

    /// What there is to clean up.
    fn last_words(&self) {
        let names = |states: &[State]| {
            let of = self.seen.iter().filter(|seen| states.contains(&seen.state));
            of.map(|seen| seen.serial.clone()).collect::<Vec<_>>()
        };
        // That a PC is reset is presumed: nothing is heard from it after the deed.
        let proved: &[State] =
            if self.channel == Channel::Windows { &[State::Left] } else { &[State::Erased, State::Left] };
        let (left, ended) = (names(&[State::Enrolled]), names(proved));
        if !left.is_empty() {
            print::say(words::left_behind(&left));
        }
        if !ended.is_empty() {
            print::say(words::over(&ended));
        }
        if self.channel == Channel::Windows && self.seen.iter().any(|seen| seen.state == State::Erased) {
            print::say(words::PRESUMED);
        }
    }

    /// A line on the screen: on stdout, unless that is for the document.
    fn line(&self, at: usize, text: &str) -> Result<(), Failure> {
        let name = self.seen.get(at).map(|seen| seen.name.as_str()).unwrap_or_default();
        let line = print::visible(&format!("{} {name}: {text}", words::time(clock::system().wall()))) + "\n";
        if self.json {
            // Nobody is left to be told that it did not get there.
            drop(io::stderr().lock().write_all(line.as_bytes()));
            return Ok(());
        }
        print::text(&line).map_err(cli::unprinted)
    }

    fn document(&self) -> Value {
        let act = |act: &Act| {
            let millis = act.at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
            let time = At(Timestamp(i64::try_from(millis).unwrap_or(0))).to_string();
            json!({
                "time": time, "kind": act.kind, "outcome": act.outcome, "reason": act.reason,
                "effect": words::effect(act.effect),
            })
        };
        let device = |seen: &Seen| {
            json!({
                "name": seen.name, "serial": seen.serial, "identity": seen.identity, "channel": self.channel.as_str(),
                "state": seen.state.as_str(), "enrolled": seen.enrolled.map(|at| At(at).to_string()),
                "acts": seen.acts.iter().map(act).collect::<Vec<_>>(),
            })
        };
        Value::Array(self.seen.iter().map(device).collect())
    }
}

/// One after the other, so that the first by an invitation for one is the one that gets in; ends with the first who is refused.
fn enrol(waiting: Vec<Member>, entry: Entry) -> (tokio::task::JoinHandle<()>, Enrolling) {
    let (to, enrolled) = unbounded_channel();
    let task = tokio::spawn(async move {
        for mut member in waiting {
            let result = member.enrol(&entry).await.map(|()| member);
            let refused = result.is_err();
            if to.send(result).is_err() || refused {
                break;
            }
        }
    });
    (task, enrolled)
}
