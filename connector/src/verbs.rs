//! `lanyard connector enrol | check | run`: what is typed on the machine beside Exchange.

use crate::{
    agent::Agent,
    check,
    driver::Driver,
    enrol::{self, Exchange, Request},
    http::Client,
    installation::{self, Installation, OnlineSettings, OnpremSettings, ProxySettings},
    online::{Credential, Online},
    onprem::{self, Onprem},
    platform,
    secrets::Name,
    server::Server,
};
use clap::{Args, Subcommand};
use lanyard_exchange::online::Application;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use uuid::Uuid;

/// What a connector does on its own machine.
#[derive(Subcommand)]
pub enum Verb {
    /// Enrol this machine as a connector, by a code.
    Enrol(Box<Enrol>),
    /// Try each step of the way to Exchange and to the server, and name the one that fails.
    Check(At),
    /// Report what Exchange has, and carry out what was decided, until it is ended.
    Run(Run),
}

/// Which installation.
#[derive(Args)]
pub struct At {
    /// The connector's folder; else `LANYARD_CONNECTOR`, else /var/lib/lanyard-connector, on Windows %ProgramData%\Lanyard\connector.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// See [`Verb::Run`].
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    at: At,
    /// Print what would be written to Exchange, a line each, and do not write it.
    #[arg(long)]
    dry_run: bool,
}

/// See [`Verb::Enrol`].
#[derive(Args)]
pub struct Enrol {
    /// As `lanyard connector invite` printed it.
    code: String,
    /// The server's address.
    #[arg(long, value_name = "URL")]
    server: String,
    #[command(flatten)]
    at: At,
    /// Further roots to check certificates against, PEM: the server's `ca.pem` where its certificate is its own.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Exchange Online: the tenant's id.
    #[arg(long, value_name = "GUID", requires = "app_id")]
    tenant: Option<Uuid>,
    /// Exchange Online: the application's id.
    #[arg(long, value_name = "GUID", requires = "tenant")]
    app_id: Option<Uuid>,
    /// Exchange Online: the application's certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tenant")]
    cert: Option<PathBuf>,
    /// Exchange Online: the certificate's RSA key, PEM.
    #[arg(long, value_name = "FILE", requires = "tenant")]
    key: Option<PathBuf>,
    /// Exchange Online: another cloud's address.
    #[arg(long, value_name = "URL", default_value = "https://outlook.office365.com")]
    exchange_url: String,
    /// Exchange Online: another cloud's login.
    #[arg(long, value_name = "URL", default_value = "https://login.microsoftonline.com")]
    login_url: String,
    /// On premises: the full name of an Exchange server.
    #[arg(long, value_name = "FQDN", conflicts_with = "tenant")]
    exchange_host: Option<String>,
    /// On premises: the account.
    #[arg(long, value_name = "U", requires = "exchange_host")]
    user: Option<String>,
    /// On premises: a file with the account's password.
    #[arg(long, value_name = "FILE", requires = "exchange_host")]
    password_file: Option<PathBuf>,
    /// On premises: the PowerShell to run.
    #[arg(long, value_name = "CMD", requires = "exchange_host")]
    powershell: Option<PathBuf>,
    /// The proxy on the way to Exchange.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Its user.
    #[arg(long, value_name = "U", requires = "proxy")]
    proxy_user: Option<String>,
    /// A file with its password.
    #[arg(long, value_name = "FILE", requires = "proxy_user")]
    proxy_password_file: Option<PathBuf>,
    /// The proxy on the way to the server.
    #[arg(long, value_name = "URL")]
    server_proxy: Option<String>,
    /// Its user.
    #[arg(long, value_name = "U", requires = "server_proxy")]
    server_proxy_user: Option<String>,
    /// A file with its password.
    #[arg(long, value_name = "FILE", requires = "server_proxy_user")]
    server_proxy_password_file: Option<PathBuf>,
}

/// Does it.
pub async fn run(verb: Verb, json: bool) -> ExitCode {
    let done = match verb {
        Verb::Enrol(asked) => enrolled(*asked, json).await,
        Verb::Check(at) => checked(at, json).await,
        Verb::Run(run) => served(run).await.map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("lanyard: {text}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    use std::io::Write as _;
    // Whoever reads it may have gone.
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn enrolled(asked: Enrol, json: bool) -> Result<bool, String> {
    let folder = installation::folder(asked.at.dir.clone());
    let ca = asked.ca.as_deref().map(read).transpose()?.unwrap_or_default();
    let request = Request {
        exchange: asked.exchange()?,
        proxy: proxy(asked.proxy, asked.proxy_user, asked.proxy_password_file, "the proxy before Exchange")?,
        server_proxy: proxy(
            asked.server_proxy,
            asked.server_proxy_user,
            asked.server_proxy_password_file,
            "the proxy before the server",
        )?,
        code: asked.code,
        server: asked.server,
        folder: folder.clone(),
        ca,
    };
    let (org, instance) = enrol::enrol(request).await?;
    if json {
        say(&serde_json::json!({ "org": org, "instance": instance, "dir": folder }).to_string());
    } else {
        say(&format!("enrolled for {org} as {instance}; next: lanyard connector check, then run"));
    }
    Ok(true)
}

impl Enrol {
    fn exchange(&self) -> Result<Exchange, String> {
        match (&self.tenant, &self.exchange_host) {
            (Some(tenant), _) => self.online(*tenant),
            (None, Some(host)) => self.onprem(host),
            (None, None) => {
                Err("which Exchange? --tenant, --app-id, --cert and --key for Exchange Online, --exchange-host for one on premises".into())
            }
        }
    }

    fn online(&self, tenant: Uuid) -> Result<Exchange, String> {
        let app = self.app_id.ok_or("--app-id is needed")?;
        let given = |path: &Option<PathBuf>, prompt: &str| match path {
            Some(path) => read_secret(path),
            None => read_secret(Path::new(&asked(prompt, true)?)),
        };
        let settings = OnlineSettings {
            tenant,
            app,
            exchange: self.exchange_url.trim_end_matches('/').into(),
            login: self.login_url.trim_end_matches('/').into(),
        };
        let certificate = given(&self.cert, "File with the application's certificate (PEM): ")?;
        let key = given(&self.key, "File with its key (PEM): ")?;
        Ok(Exchange::Online { settings, certificate, key })
    }

    fn onprem(&self, host: &str) -> Result<Exchange, String> {
        let user = match &self.user {
            Some(user) => user.clone(),
            None => asked("Exchange account: ", true)?,
        };
        let password = password(self.password_file.as_deref(), &format!("Password of {user}: "))?;
        let settings = OnpremSettings { host: host.into(), user, powershell: self.powershell.clone() };
        Ok(Exchange::Onprem { settings, password })
    }
}

fn asked(prompt: &str, shown: bool) -> Result<String, String> {
    let typed = platform::ask(prompt, shown).map_err(|error| error.to_string())?;
    let missing =
        || format!("{}: there is no terminal to ask on; see --help for its flag", prompt.trim_end_matches([':', ' ']));
    typed.filter(|typed| !typed.is_empty()).ok_or_else(missing)
}

/// The first line of a file, else what is typed.
fn password(file: Option<&Path>, prompt: &str) -> Result<SecretString, String> {
    match file {
        Some(file) => {
            let text = read_secret(file)?;
            Ok(SecretString::from(text.expose_secret().lines().next().unwrap_or_default().to_string()))
        }
        None => Ok(SecretString::from(asked(prompt, false)?)),
    }
}

type Proxied = Option<(ProxySettings, Option<SecretString>)>;

fn proxy(url: Option<String>, user: Option<String>, file: Option<PathBuf>, which: &str) -> Result<Proxied, String> {
    let Some(url) = url else { return Ok(None) };
    let word = match &user {
        Some(user) => Some(password(file.as_deref(), &format!("Password of {user} for {which}: "))?),
        None => None,
    };
    Ok(Some((ProxySettings { url, user }, word)))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_secret(path: &Path) -> Result<SecretString, String> {
    read(path).map(SecretString::from)
}

async fn checked(at: At, json: bool) -> Result<bool, String> {
    let installation = Installation::open(installation::folder(at.dir))?;
    let steps = check::check(&installation).await;
    let good = steps.iter().all(|step| step.ok);
    if json {
        say(&serde_json::to_string(&steps).map_err(|error| error.to_string())?);
    } else {
        for step in &steps {
            say(&format!("{:<6} {:<10} {}", if step.ok { "ok" } else { "FAILED" }, step.step, step.detail));
        }
    }
    Ok(good)
}

/// To stderr, as much of it as `LANYARD_LOG` asks for: levels, by themselves or by part.
fn begin_log() -> Result<(), String> {
    let said = std::env::var("LANYARD_LOG").unwrap_or_else(|_| "info".into());
    let filter = tracing_subscriber::EnvFilter::try_new(&said).map_err(|error| format!("LANYARD_LOG: {error}"))?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    Ok(())
}

async fn served(run: Run) -> Result<(), String> {
    begin_log()?;
    let installation = Installation::open(installation::folder(run.at.dir))?;
    let _held = installation.hold()?;
    let driver = driver(&installation)?;
    let server = Server::of(&installation)?;
    let agent = Arc::new(Agent::new(installation, server, driver, run.dry_run)?);
    agent.run(platform::told_to_end()).await
}

/// What reaches this installation's Exchange.
pub fn driver(installation: &Installation) -> Result<Arc<dyn Driver>, String> {
    let Some(settings) = &installation.settings.onprem else {
        let client = installation.exchange_client().map_err(|error| error.to_string())?;
        return Ok(Arc::new(online(installation, Arc::new(client))?));
    };
    let password = installation.secrets.get(Name::Password).ok_or("the account's password is not among the secrets")?;
    Ok(Arc::new(Onprem::new(onprem::Settings {
        host: settings.host.clone(),
        user: settings.user.clone(),
        password: password.clone(),
        powershell: settings.powershell.clone(),
        folder: installation.folder.clone(),
    })))
}

/// Likewise, of Exchange Online.
pub fn online(installation: &Installation, client: Arc<Client>) -> Result<Online, String> {
    let settings = installation.settings.online.as_ref().ok_or("connector.json names no Exchange")?;
    let secret = |name| installation.secrets.get(name).ok_or("the application's certificate is not among the secrets");
    let (certificate, key) = (secret(Name::Certificate)?, secret(Name::Key)?);
    let credential = Credential::read(certificate.expose_secret().as_bytes(), key.expose_secret().as_bytes())?;
    let OnlineSettings { tenant, app, exchange, login } = settings.clone();
    Ok(Online::new(Application { tenant, id: app, login, exchange }, credential, client))
}
