//! `lanyard serve`: from a data folder to two open ports, and to a clean end.

pub mod check;
mod copied;
mod folder;
mod keys;
pub mod kinds;
mod log;
mod notify;
mod options;
pub mod stores;
mod tls;

pub use folder::Folder;
pub(crate) use keys::KINDS;
pub use options::{Log, Options};
use options::{address, upstream};

use crate::{
    channel,
    clock::{self, Timestamp},
    error::Error,
    fleet::{admins, audit, life::Device, settings},
    http::{
        Drain, Gate, Listener, Serving, Tls,
        client_cert_header::TrustedProxies,
        connector::trusted_roots,
        gate::connection_budget,
        listener::{OnStranger, Timeouts},
        outgoing::Outgoing,
    },
    ids::DeviceId,
    server::{
        Server, background, follow_ups::FollowUps, host, mail_server::MailServer, outlook::Outlook, rounds, smtp::Smtp,
        strangers::Strangers, told::Told,
    },
    store::Tx,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Of the listener for devices: each address of this machine.
const DEVICE_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);
/// Of the listener for administrators: this machine alone.
const ADMIN_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9443);
/// Held Pings are answered within eight seconds; after ten everything is cut.
const DRAIN: Duration = Duration::from_secs(9);
/// Between two looks at the settings that listeners keep in memory.
const LOOK: Duration = Duration::from_secs(10);
/// Of a new CA: the first start's clock may be ahead.
const BACKDATED: Duration = Duration::from_secs(30 * 86_400);
const HOUR: Duration = Duration::from_secs(3600);
/// Files kept back for the store, the log and outgoing calls.
const RESERVE: usize = 256;

/// A server with its ports open.
pub struct Running {
    /// What its handlers share.
    pub server: Arc<Server>,
    /// The real address of the devices' port.
    pub device: SocketAddr,
    /// The real address of the administrators' port.
    pub admin: SocketAddr,
    /// The data folder.
    pub folder: Folder,
    drain: Drain,
}

/// Opens everything; both ports answer when this returns. Errors are sentences for the operator.
pub async fn start(options: &Options) -> Result<Running, String> {
    lanyard_certs::providers::init().map_err(|e| e.to_string())?;
    options.check()?;
    let folder = Folder::open(options.data.as_deref())?;
    let clock = clock::system();
    let url = stores::address(options.store.as_deref(), &folder);
    let roots = roots(options.trust.as_deref())?;
    let (store, presence) = stores::open(&url, &folder, clock.clone(), roots.clone()).await?;
    let (master_key, authority) =
        keys::open(&store, &folder, options.master_key.as_deref(), clock.wall().minus(BACKDATED).to_datetime()).await?;
    folder.write("ca.pem", &authority.root_pem(), false)?;
    let token = folder.local_token()?;
    folder.warn_of_readers(options.master_key.as_deref());
    store.run(move |tx| admins::ensure_local(tx, &token)).await.map_err(|e| e.cause())?;
    store.run(|tx| Ok(tx.count_all::<Device>()?)).await.map_err(|e| e.cause())?;
    store.run(audit::checkpoint).await.map_err(|e| e.cause())?;

    let bind = |flag, address| Listener::bind(address).map_err(|e| format!("{flag} {address}: {e}"));
    let device_port = bind("--device-addr", options.device_addr.unwrap_or(DEVICE_ADDR))?;
    let admin_port = bind("--admin-addr", options.admin_addr.unwrap_or(ADMIN_ADDR))?;
    let (device, admin) = (local(&device_port)?, local(&admin_port)?);
    let public_url =
        given(options.public_url.as_deref())?.unwrap_or_else(|| format!("https://localhost:{}", device.port()));
    if options.public_url.is_none() {
        tracing::warn!(
            "no --public-url: real devices need a name that they can reach; {public_url} works on this machine only"
        );
    }
    let enrol_url = given(options.enrol_url.as_deref())?.unwrap_or_else(|| public_url.clone());

    let proxies = store.run(|tx| settings::text(tx, "net.trusted_proxies")).await.map_err(|e| e.cause())?;
    let per_address =
        store.run(|tx| settings::count(tx, "limit.connections_per_address")).await.map_err(|e| e.cause())?;
    let per_user = store.run(|tx| settings::count(tx, "eas.requests_per_user")).await.map_err(|e| e.cause())?;
    let drain = Drain::new();
    let (wakes, _) = tokio::sync::broadcast::channel::<DeviceId>(4096);
    let extra = extra_roots(options.trust.as_deref())?;
    let smtp = Smtp::of(options.smtp.as_deref(), options.smtp_from.as_deref(), &extra, host(&public_url))?;
    let server = Arc::new(Server {
        store,
        presence,
        authority,
        master_key,
        public_url,
        enrol_url,
        outgoing: Outgoing::new(&roots).map_err(|e| e.to_string())?,
        roots,
        eas_upstream: options.eas_upstream.as_deref().map(upstream).transpose()?,
        mail_server: MailServer::default(),
        eas_requests: Arc::new(AtomicUsize::new(per_user)),
        smtp,
        eas_users: options::users(options.eas_users.as_deref())?,
        eas_signon: options.eas_signon.as_deref().map(options::signon).transpose()?,
        proxies: TrustedProxies::parse(proxies.as_deref().unwrap_or_default())?,
        stopping: drain.signal(),
        strangers: Strangers::default(),
        told: Told::default(),
        own_tls: options.tls_cert.is_none(),
        certificate: OnceLock::new(),
        outlook: Outlook::default(),
        wakes,
        follow_ups: FollowUps::default(),
    });
    let own = tls::of_our_own(&server, clock)?;
    let certificate = match options.tls_cert.clone().zip(options.tls_key.clone()) {
        Some((chain, key)) => tls::of_files(&server, chain, key)?,
        None => own.clone(),
    };
    drop(server.certificate.set(certificate.clone()));
    let authorities = [server.authority.root_der().to_vec(), server.authority.issuing_der().to_vec()];
    let strangers = server.clone();
    let on_stranger: OnStranger = Arc::new(move |address, ground| {
        tracing::debug!(ground = ground.as_str(), "a stranger was refused in the handshake");
        strangers.strangers.count(address.ip());
    });
    let per_address = Arc::new(AtomicUsize::new(per_address));
    let serving = |tls, app| Serving {
        tls,
        app,
        gate: Gate::new(connection_budget(RESERVE), per_address.clone()),
        proxies: server.proxies.clone(),
        drain: drain.clone(),
        on_stranger: on_stranger.clone(),
        timeouts: Timeouts::default(),
    };
    let for_devices = Tls::device(&certificate, host(&server.public_url), &authorities).map_err(|e| e.to_string())?;
    let for_admins = Tls::admin(&own).map_err(|e| e.to_string())?;
    tokio::spawn(device_port.serve(serving(for_devices, channel::router(&server))));
    tokio::spawn(admin_port.serve(serving(for_admins, crate::api::router(server.clone()))));
    channel::start(&server);
    background::start(&server);
    rounds::every(&server, "limits and proxies", LOOK, move |server| {
        let per_address = per_address.clone();
        async move {
            let read = |tx: &mut Tx<'_>| {
                let count = |tx: &mut Tx<'_>, key| settings::count(tx, key);
                let limits = (count(tx, "limit.connections_per_address")?, count(tx, "eas.requests_per_user")?);
                Ok((limits, settings::text(tx, "net.trusted_proxies")?))
            };
            let ((limit, per_user), proxies) = server.store.run(read).await?;
            per_address.store(limit, Ordering::Relaxed);
            server.eas_requests.store(per_user, Ordering::Relaxed);
            server.proxies.replace(proxies.as_deref().unwrap_or_default()).map_err(Error::Internal)
        }
    });
    rounds::every(&server, "forgetting answers", HOUR, |server| async move {
        while server.store.run(crate::api::tidy).await? {}
        Ok(())
    });
    rounds::every(&server, "what ends soon", HOUR, crate::api::remind);
    folder.announce(&server, device, admin)?;
    if let Some(until) = server.store.run(admins::begin_first_hour).await.map_err(|e| e.cause())? {
        tracing::warn!(%until, "{}", second_now(until));
    }
    Ok(Running { server, device, admin, folder, drain })
}

impl Running {
    /// The line that says so.
    pub fn ready_line(&self, log: Log) -> String {
        let (public, enrol) = (&self.server.public_url, &self.server.enrol_url);
        match log {
            Log::Text => format!("ready device={} admin={} public={public} enrol={enrol}", self.device, self.admin),
            Log::Json => {
                let beside = [
                    ("event", "ready"),
                    ("device", &self.device.to_string()),
                    ("admin", &self.admin.to_string()),
                    ("public", public),
                    ("enrol", enrol),
                ];
                let beside = beside.into_iter().map(|(key, value)| (key.to_string(), value.into()));
                log::object("info", "ready", beside.collect())
            }
        }
    }

    /// Ends: no new connections, requests in progress are finished, what was seen is written.
    pub async fn stop(self) {
        let drained = self.drain.drain(DRAIN).await;
        if drained.cut > 0 {
            tracing::warn!(connections = drained.cut, "cut after the time to end by themselves");
        }
        drop(background::write_seen(&self.server).await);
        drop(self.server.strangers.write(&self.server.store).await);
        self.server.store.end().await;
        self.folder.withdraw();
    }
}

/// Why a server ended, in words for the operator, and with which exit code.
#[derive(Debug)]
pub struct Failure {
    /// 2: wrong words, which waiting does not mend; 1: what may pass.
    pub code: u8,
    /// The cause comes first.
    pub text: String,
}

impl Failure {
    /// What was said to the server is wrong.
    pub fn of_words(text: String) -> Self {
        Self { code: 2, text }
    }

    /// The last line of a server that ended so.
    pub fn line(&self, log: Option<Log>) -> String {
        match log {
            Some(Log::Json) => log::object("error", &self.text, serde_json::Map::new()),
            _ => format!("lanyard: {}", self.text),
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self { code: 1, text }
    }
}

/// Serves until SIGTERM, SIGINT or SIGHUP (the terminal went away). The options are those of [`Options::with_file`].
pub async fn run(options: Options) -> Result<(), Failure> {
    let log = options.log.unwrap_or(Log::Text);
    log::start(log).map_err(Failure::of_words)?;
    let running = start(&options).await?;
    let listen = |kind| tokio::signal::unix::signal(kind).map_err(|e| e.to_string());
    let mut terminate = listen(tokio::signal::unix::SignalKind::terminate())?;
    let mut hang_up = listen(tokio::signal::unix::SignalKind::hangup())?;
    eprintln!("{}", running.ready_line(log));
    notify::tell(notify::Word::Ready);
    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = hang_up.recv() => "SIGHUP",
        _ = tokio::signal::ctrl_c() => "SIGINT",
        () = store_is_dead(&running.server) => {
            return Err("the store's thread has ended: start the server anew".to_string().into());
        }
    };
    tracing::info!(signal, "stopping: no new connections, what is under way ends within {} s", DRAIN.as_secs());
    notify::tell(notify::Word::Stopping);
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// SIGINT or SIGTERM, for those who serve nothing.
pub async fn interrupted() {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        drop(tokio::signal::ctrl_c().await);
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// A server without its store answers nothing: better to end, so that whoever supervises it starts it anew.
async fn store_is_dead(server: &Server) {
    while !server.store.is_dead() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What the file of `--trust` says.
fn extra_roots(trust: Option<&Path>) -> Result<Vec<u8>, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| format!("--trust {}: {e}", path.display()));
    trust.map(read).transpose().map(Option::unwrap_or_default)
}

/// The roots that outgoing calls trust, besides the system's those of `--trust`.
fn roots(trust: Option<&Path>) -> Result<Arc<rustls::RootCertStore>, String> {
    let named = |error: String| trust.map_or(error.clone(), |path| format!("--trust {}: {error}", path.display()));
    trusted_roots(&extra_roots(trust)?).map_err(|e| named(e.to_string()))
}

/// What is to be done in the first hour.
fn second_now(until: Timestamp) -> String {
    let at = until.to_datetime();
    format!(
        "make a second administrator now: until {:02}:{:02} UTC they and their token count at once, later after wipe.newcomer",
        at.hour(),
        at.minute()
    )
}

fn given(url: Option<&str>) -> Result<Option<String>, String> {
    url.map(address).transpose()
}

fn local(port: &Listener) -> Result<SocketAddr, String> {
    port.local_addr().map_err(|e| e.to_string())
}
