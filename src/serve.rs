//! `lanyard serve`: from a data folder to two open ports, and to a clean end.

mod folder;
mod keys;
mod tls;

pub use folder::Folder;

use crate::{
    admins, audit, channel,
    clock::{self, Clock},
    http::{
        Drain, Gate, Listener, Serving, Tls,
        client_cert_header::TrustedProxies,
        connector::trusted_roots,
        gate::connection_budget,
        listener::{OnStranger, Timeouts},
        outgoing::Outgoing,
    },
    ids::DeviceId,
    registry::peers::Peers,
    server::{Server, background, host, strangers::Strangers},
    settings,
    store::{Engine, Options as StoreOptions, Postgres, Sled, Store},
};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Held Pings are answered within eight seconds; after ten everything is cut.
const DRAIN: Duration = Duration::from_secs(9);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Files kept back for the store, the log and outgoing calls.
const RESERVE: usize = 256;

/// The flags of `lanyard serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder for keys, tokens and the embedded store.
    #[arg(long, env = "LANYARD_DATA")]
    pub data: Option<PathBuf>,
    /// `sled:DIR` or `postgres://…`; the embedded store in the data folder where nothing is said.
    #[arg(long, env = "LANYARD_STORE")]
    pub store: Option<String>,
    /// Address of the listener for devices.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub device_addr: SocketAddr,
    /// Address of the listener for administrators.
    #[arg(long, default_value = "127.0.0.1:9443")]
    pub admin_addr: SocketAddr,
    /// `https://NAME[:PORT]` under which devices reach this server.
    #[arg(long)]
    pub public_url: Option<String>,
    /// Likewise for enrolment; the public one where nothing is said.
    #[arg(long)]
    pub enrol_url: Option<String>,
    /// Certificate chain of the listeners, PEM; of our own CA where nothing is said.
    #[arg(long, requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// File with the master key, where it is not in the data folder or in LANYARD_MASTER_KEY.
    #[arg(long)]
    pub master_key: Option<PathBuf>,
    /// The mail server's own address, `http(s)://HOST/Microsoft-Server-ActiveSync`.
    #[arg(long)]
    pub eas_upstream: Option<String>,
    /// Roots (PEM) that outgoing calls trust besides the system's.
    #[arg(long)]
    pub trust: Option<PathBuf>,
    /// How to log.
    #[arg(long, value_enum, default_value = "text")]
    pub log: Log,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Log {
    /// Lines for people.
    Text,
    /// An object a line.
    Json,
}

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
    let folder = Folder::open(options.data.as_deref())?;
    let clock = clock::system();
    let url = options.store.clone().unwrap_or_else(|| format!("sled:{}", folder.path("store").display()));
    let extra = match &options.trust {
        Some(path) => std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?,
        None => Vec::new(),
    };
    let roots = trusted_roots(&extra).map_err(|e| e.to_string())?;
    let (store, peers) = open_store(&url, &folder, clock.clone(), roots.clone()).await?;
    let (master_key, authority) =
        keys::open(&store, &folder, options.master_key.as_deref(), clock().to_datetime()).await?;
    folder.write("ca.pem", &authority.root_pem(), false)?;
    let token = folder.local_token()?;
    store.run(move |tx| admins::ensure_local(tx, &token)).await.map_err(|e| e.to_string())?;
    store.run(audit::checkpoint).await.map_err(|e| e.to_string())?;

    let device_port = Listener::bind(options.device_addr).map_err(|e| format!("{}: {e}", options.device_addr))?;
    let admin_port = Listener::bind(options.admin_addr).map_err(|e| format!("{}: {e}", options.admin_addr))?;
    let (device, admin) = (local(&device_port)?, local(&admin_port)?);
    let public_url =
        address(options.public_url.as_deref())?.unwrap_or_else(|| format!("https://localhost:{}", device.port()));
    if options.public_url.is_none() {
        tracing::warn!(
            "no --public-url: real devices need a name that they can reach; {public_url} works on this machine only"
        );
    }
    let enrol_url = address(options.enrol_url.as_deref())?.unwrap_or_else(|| public_url.clone());

    let proxies = store.run(|tx| settings::text(tx, "net.trusted_proxies")).await.map_err(|e| e.to_string())?;
    let per_address =
        store.run(|tx| settings::count(tx, "limit.connections_per_address")).await.map_err(|e| e.to_string())?;
    let drain = Drain::new();
    let (wakes, _) = tokio::sync::broadcast::channel::<DeviceId>(4096);
    let server = Arc::new(Server {
        store,
        peers,
        clock,
        authority,
        master_key,
        public_url,
        enrol_url,
        outgoing: Outgoing::new(&roots).map_err(|e| e.to_string())?,
        roots,
        eas_upstream: options.eas_upstream.as_deref().map(upstream).transpose()?,
        proxies: TrustedProxies::parse(proxies.as_deref().unwrap_or_default())?,
        stopping: drain.signal(),
        strangers: Strangers::default(),
        own_tls: options.tls_cert.is_none(),
        wakes,
    });
    let own = tls::of_our_own(&server)?;
    let certificate = match options.tls_cert.clone().zip(options.tls_key.clone()) {
        Some((chain, key)) => tls::of_files(&server, chain, key)?,
        None => own.clone(),
    };
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
    background::every(&server, MINUTE, move |server| {
        let per_address = per_address.clone();
        async move {
            let limit = server.store.run(|tx| settings::count(tx, "limit.connections_per_address")).await?;
            per_address.store(limit, Ordering::Relaxed);
            Ok(())
        }
    });
    background::every(&server, HOUR, |server| async move {
        while server.store.run(crate::api::tidy).await? {}
        Ok(())
    });
    folder.announce(&server, device, admin)?;
    Ok(Running { server, device, admin, folder, drain })
}

impl Running {
    /// The line that says so.
    pub fn ready_line(&self, log: Log) -> String {
        let (public, enrol) = (&self.server.public_url, &self.server.enrol_url);
        match log {
            Log::Text => format!("ready device={} admin={} public={public} enrol={enrol}", self.device, self.admin),
            Log::Json => {
                serde_json::json!({"event": "ready", "device": self.device.to_string(), "admin": self.admin.to_string(),
                "public": public, "enrol": enrol})
                .to_string()
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
        self.folder.withdraw();
    }
}

/// To stderr; how much by `LANYARD_LOG` (`info`, `lanyard=debug` …).
fn start_log(log: Log) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("LANYARD_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let layer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log {
        Log::Text => layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        Log::Json => layer.json().init(),
    }
}

/// Serves until SIGTERM, SIGINT or SIGHUP (the terminal went away).
pub async fn run(options: Options) -> Result<(), String> {
    start_log(options.log);
    let running = start(&options).await?;
    eprintln!("{}", running.ready_line(options.log));
    let listen = |kind| tokio::signal::unix::signal(kind).map_err(|e| e.to_string());
    let mut terminate = listen(tokio::signal::unix::SignalKind::terminate())?;
    let mut hang_up = listen(tokio::signal::unix::SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    running.stop().await;
    Ok(())
}

async fn open_store(
    url: &str,
    folder: &Folder,
    clock: Clock,
    roots: Arc<rustls::RootCertStore>,
) -> Result<(Store, Arc<Peers>), String> {
    let node = folder.node()?;
    let (at, name) = (url.to_string(), node.clone());
    // PostgreSQL's client blocks: not on the runtime's threads.
    let opened = tokio::task::spawn_blocking(move || -> Result<Box<dyn Engine>, String> {
        if let Some(path) = at.strip_prefix("sled:") {
            Sled::open(std::path::Path::new(path), clock)
                .map(|s| Box::new(s) as _)
                .map_err(|e| format!("store {path}: {e}"))
        } else if at.starts_with("postgres://") || at.starts_with("postgresql://") {
            Postgres::open(&at, &name, &roots).map(|s| Box::new(s) as _).map_err(|e| format!("store: {e}"))
        } else {
            Err("--store is sled:DIR or postgres://…".to_string())
        }
    });
    let engine = opened.await.map_err(|e| e.to_string())??;
    let peers = Arc::new(Peers::new(engine.shared()));
    // A system without randomness cannot serve: better to stop than to hand out guessable secrets.
    let fill = Box::new(|bytes: &mut [u8]| {
        if openssl::rand::rand_bytes(bytes).is_err() {
            std::process::abort();
        }
    });
    Ok((Store::start(engine, StoreOptions { node, fill, observer: peers.clone() }), peers))
}

fn local(port: &Listener) -> Result<SocketAddr, String> {
    port.local_addr().map_err(|e| e.to_string())
}

/// An `https` address without path or slash at its end.
fn address(url: Option<&str>) -> Result<Option<String>, String> {
    let Some(url) = url else { return Ok(None) };
    let plain = url.trim_end_matches('/');
    let rest = plain.strip_prefix("https://").unwrap_or_default();
    if rest.is_empty() || rest.contains('/') || rest.contains('@') || host(plain).is_empty() {
        return Err(format!("{url:?} is not https://NAME or https://NAME:PORT"));
    }
    Ok(Some(plain.to_string()))
}

fn upstream(url: &str) -> Result<http::Uri, String> {
    let uri: http::Uri = url.parse().map_err(|e| format!("--eas-upstream: {e}"))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some() => Ok(uri),
        _ => Err("--eas-upstream is http(s)://HOST/Microsoft-Server-ActiveSync".into()),
    }
}
