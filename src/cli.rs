//! The command line: verbs that talk to the admin API. What scripts rely on (names, JSON, exit codes) is what the API answers.

mod admins;
mod at;
mod audit;
mod breaker;
mod ca;
mod client;
mod clock;
mod commands;
mod connectors;
mod contexts;
mod devices;
pub mod help;
mod invitations;
mod mail;
mod names;
pub(crate) mod password;
mod policies;
pub(crate) mod print;
mod push_cert;
mod request;
mod settings;
mod standing;
mod status;
mod store;
mod wipe;

pub use at::At;
pub(crate) use at::given_roots;
use client::Client;
use serde_json::Value;
use std::process::ExitCode;

/// What administrators do.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// What is wrong now, and what will be within 90 days, worst first.
    Status(status::Status),
    /// Invite a user to enrol a device.
    Invite(invitations::Invite),
    /// Invitations that were made.
    #[command(subcommand)]
    Invitations(invitations::Invitations),
    /// Look at devices; let their mail in or shut it out; end their certificates.
    #[command(subcommand)]
    Devices(devices::Devices),
    /// Look at commands, and take them back.
    #[command(subcommand)]
    Commands(commands::Commands),
    /// Remove the organisation's data from a device, or everything.
    Wipe(wipe::Wipe),
    /// What is done to one device.
    #[command(flatten)]
    Device(devices::Acts),
    /// Settings that devices must have continuously.
    #[command(subcommand)]
    Policy(policies::Policy),
    /// Groups of devices.
    #[command(subcommand)]
    Group(policies::Group),
    /// The mail gateway: who may read mail.
    #[command(subcommand)]
    Mail(mail::Mail),
    /// Relays beside an organisation's Exchange.
    #[command(subcommand)]
    Connector(connectors::Connectors),
    /// What waits for a second person.
    #[command(subcommand)]
    Approvals(breaker::Approvals),
    /// The emergency stop.
    #[command(subcommand)]
    Stop(breaker::Stop),
    /// Administrators: who may do all this, and agree to what others ask for.
    #[command(subcommand)]
    Admins(admins::Admins),
    /// Tokens of administrators.
    #[command(subcommand)]
    Token(admins::Token),
    /// What guards wipes, and what all nodes agree on.
    #[command(subcommand)]
    Settings(settings::Settings),
    /// Apple's push service.
    #[command(subcommand)]
    Apple(push_cert::Apple),
    /// What was done, by whom and when.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The device CA.
    #[command(subcommand)]
    Ca(ca::Ca),
    /// The store of a server that is stopped.
    #[command(subcommand)]
    Store(store::Store),
    /// The server's clock.
    #[command(subcommand)]
    Clock(clock::Clock),
}

/// Why a verb was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// Refused or failed: exit code 1.
    Failed(String),
    /// There is no server, or it is busy: exit code 1 where that lasts.
    Away(String),
    /// Something is missing from the command line: exit code 2.
    Usage(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

type Done = Result<Outcome, Failure>;

/// What a verb has to show, and how it ended.
pub struct Outcome {
    document: Value,
    /// Columns of a list, in order; empty: all that a record has.
    columns: &'static [&'static str],
    /// Those of them that are left out first where a terminal has no room for all.
    spare: &'static [&'static str],
    /// What people are shown of a list beside its own fields, row by row.
    beside: Vec<Value>,
    /// What people are told of it, above it.
    words: Option<String>,
    good: bool,
}

/// How what there is to show is shown.
struct Shown {
    json: bool,
    screen: print::Screen,
}

impl Outcome {
    fn record(document: Value) -> Self {
        Self { document, columns: &[], spare: &[], beside: Vec::new(), words: None, good: true }
    }
    fn list(items: Vec<Value>, columns: &'static [&'static str]) -> Self {
        Self { document: Value::Array(items), columns, spare: &[], beside: Vec::new(), words: None, good: true }
    }
    /// A list that fits a narrow terminal without these columns, of which the first goes first.
    fn spare(mut self, spare: &'static [&'static str]) -> Self {
        self.spare = spare;
        self
    }
    /// A list whose rows are shown with more than their fields.
    fn beside(mut self, beside: Vec<Value>) -> Self {
        self.beside = beside;
        self
    }
    /// People are told this above it.
    fn words(mut self, words: String) -> Self {
        self.words = Some(words);
        self
    }
    fn good_if(mut self, good: bool) -> Self {
        self.good = good;
        self
    }
    fn shown(&self) -> print::Shown<'_> {
        let Self { document, columns, spare, beside, words, .. } = self;
        print::Shown { document, columns, spare, beside, words: words.as_deref() }
    }
}

/// How it is shown: what all verbs take.
#[derive(clap::Args)]
pub struct How {
    /// Print one JSON document.
    #[arg(long, global = true)]
    pub json: bool,
    /// How moments are written, else as `LANYARD_TIME` says; on a terminal `ago` where nothing is said, else `utc`. JSON has RFC 3339, always.
    #[arg(long, global = true, value_enum)]
    time: Option<print::Time>,
}

/// Carries out a verb, prints what it has to show, and says how it ended.
pub async fn run(verb: Verb, at: At, how: How) -> ExitCode {
    let time = match how.time.map_or_else(print::Time::from_environment, |time| Ok(Some(time))) {
        Ok(time) => time,
        Err(text) => {
            print::say(text);
            return ExitCode::from(2);
        }
    };
    let how = Shown { json: how.json, screen: print::Screen::of_stdout(time) };
    let (done, worst) = match verb {
        Verb::Connector(connectors::Connectors::Here(verb)) => {
            return lanyard_connector::verbs::run(verb, how.json).await;
        }
        Verb::Store(store) => (store.run().await, None),
        verb => match at.find().and_then(Client::of) {
            Ok(client) => (carry_out(verb, &client, &how).await, client.worst()),
            Err(failure) => (Err(failure), None),
        },
    };
    let done = done.and_then(|outcome| {
        print::show(&outcome.shown(), &how.screen.now(), how.json).map_err(unprinted)?;
        Ok(outcome.good)
    });
    let code = ended(done);
    if let Some(worst) = worst {
        print::say(format!("{worst} (lanyard status)"));
    }
    code
}

/// Says why it failed, and how that ends.
pub(crate) fn ended(done: Result<bool, Failure>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure::Failed(text) | Failure::Away(text)) => {
            print::say(text);
            ExitCode::FAILURE
        }
        Err(Failure::Usage(text)) => {
            print::say(text);
            ExitCode::from(2)
        }
    }
}

/// Prints a text of a verb that asks no server. That a reader has gone is no fault.
pub fn print_text(text: &str) -> std::io::Result<()> {
    print::text(text).map_err(|error| std::io::Error::new(error.kind(), format!("{UNPRINTED}{error}")))
}

const UNPRINTED: &str = "what there is to show could not be printed whole: ";

/// Whoever reads it shall not take a part for all.
pub(crate) fn unprinted(error: std::io::Error) -> Failure {
    Failure::Failed(format!("{UNPRINTED}{error}"))
}

async fn carry_out(verb: Verb, client: &Client, how: &Shown) -> Done {
    match verb {
        Verb::Status(status) => status.run(client, how).await,
        Verb::Invite(invite) => invite.run(client).await,
        Verb::Invitations(invitations) => invitations.run(client).await,
        Verb::Devices(devices) => devices.run(client, how).await,
        Verb::Commands(commands) => commands.run(client, how).await,
        Verb::Wipe(wipe) => wipe.run(client, how).await,
        Verb::Device(act) => act.run(client, how).await,
        Verb::Policy(policy) => policy.run(client, how).await,
        Verb::Group(group) => group.run(client).await,
        Verb::Connector(connectors) => connectors.run(client).await,
        Verb::Mail(mail) => mail.run(client).await,
        Verb::Approvals(approvals) => approvals.run(client, how).await,
        Verb::Stop(stop) => stop.run(client).await,
        Verb::Admins(admins) => admins.run(client).await,
        Verb::Token(token) => token.run(client).await,
        Verb::Settings(settings) => settings.run(client).await,
        Verb::Apple(apple) => apple.run(client).await,
        Verb::Audit(audit) => audit.run(client, how).await,
        Verb::Ca(ca) => ca.run(client, how.json).await,
        Verb::Clock(clock) => clock.run(client).await,
        Verb::Store(store) => store.run().await,
    }
}

/// A filter's words: the program names them where another is given, in its help and to shells.
fn one_of(words: impl IntoIterator<Item = &'static str>) -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(words)
}

/// Whether somebody is there to be asked.
fn at_a_terminal() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdin().is_terminal()
}

/// Asks at the terminal, and goes on with a yes alone.
fn must_confirm(question: &str) -> Result<(), Failure> {
    if confirm(question)? { Ok(()) } else { Err(Failure::Failed("nothing was done".into())) }
}

/// Asks at the terminal; without one the act needs `--yes`.
fn confirm(question: &str) -> Result<bool, Failure> {
    use std::io::BufRead as _;
    if !at_a_terminal() {
        return Err(Failure::Usage(format!("{question} Say so with --yes.")));
    }
    eprint!("{} [y/N] ", print::visible_lines(question));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|e| e.to_string())?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
