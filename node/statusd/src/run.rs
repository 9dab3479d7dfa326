//! Starting the node part by part, and stopping it in the reverse order.
//!
//! Nothing listens before everything behind it is there; what is confirmed is on disk before the process ends.
//! Facts: design §2 "Stop"; `spec/operations.md` §1.2.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use devp2p::{Handle, Manager, Protocol, StartError};
use enode::{EnodeUrl, NodeId, NodeKey};
use mailserver::Mailserver;
use node_config::{LiveFile, Loaded, NodeConfig, Password, Secret};
use replica_sync::ReplicaSync;
use sd_notify::NotifyState;
use tokio::{
    net::TcpListener,
    time::{interval, sleep, timeout},
};
use waku::Waku;

use crate::{
    clock::unix_seconds,
    datadir::DataDir,
    exit::ExitError,
    files::{MAX_SECRET_BYTES, read_password, read_text},
    health::Health,
    history::Archive,
    http, identity, kernel_clock,
    live::{self, Live},
    logging::Level,
    metrics::{Metrics, live as scraped, traffic},
    node::{Node, VERSION, client_name},
    ntp::{self, AdjustedClock},
    parts::Parts,
    peer_finder::{self, Discovery},
    reload::{Reload, fixed_endpoint, ids, peer_limits, rate_limits},
    report::Report,
    rpc::{self, Access, Backend, Calls, IpcListener, Services, Token, WakuApi, WriteAccess},
    sequence::Sequence,
    source::Source,
    stop::{Hangup, Signals, tell},
    sync, upnp,
    watch::DirWatch,
    web::{self, Web},
};

/// How long a start that is to stop may go on before it is abandoned.
const START_STOP: Duration = Duration::from_secs(5);
/// Longest time that sessions get to end.
const SESSIONS_STOP: Duration = Duration::from_secs(5);
/// Longest time for the whole stop; below the 30 s after which supervisors kill.
const STOP: Duration = Duration::from_secs(25);

/// Runs a node until a signal comes, or a part of it fails.
///
/// # Errors
/// Why it did not start, or did not stop as it should.
pub(crate) async fn run(loaded: Loaded, source: Source, level: Level) -> Result<(), ExitError> {
    let mut signals = Signals::new()?;
    let hangup = Hangup::new()?;
    // On a task of its own, so that a start that hangs on a file or a lock does not hold the signals up.
    let mut starting = tokio::spawn(start(loaded, source, level, hangup));
    let (started, asked_to_stop) = tokio::select! {
        started = &mut starting => (started, false),
        signal = signals.next() => {
            tracing::info!(signal, "stopping before the start is over");
            tokio::select! {
                started = &mut starting => (started, true),
                // Nobody was told anything yet that would have to be kept.
                () = sleep(START_STOP) => return Ok(()),
                signal = signals.next() => return Err(ExitError::CutOff(format!("{signal} came again"))),
            }
        }
    };
    let mut started = started.map_err(|_panicked| ExitError::PartEnded("the start"))??;
    let outcome = if asked_to_stop { Ok(()) } else { until_stop(&mut started, &mut signals).await };
    tell(NotifyState::Stopping);
    tokio::select! {
        stopped = timeout(STOP, started.stop()) => match stopped {
            Ok(stopped) => outcome.and(stopped),
            Err(_) => Err(ExitError::CutOff(format!("not done after {} s", STOP.as_secs()))),
        },
        signal = signals.next() => Err(ExitError::CutOff(format!("{signal} came again"))),
    }
}

/// Serves until a signal comes, or a part of the node ends.
async fn until_stop(started: &mut Started, signals: &mut Signals) -> Result<(), ExitError> {
    tell(NotifyState::Ready);
    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            Ok(())
        }
        part = started.parts.missing() => {
            tracing::error!(part, "a part of the node ended");
            Err(ExitError::PartEnded(part))
        }
    }
}

/// A started node.
struct Started {
    parts: Parts,
    p2p: Handle,
    archive: Option<Archive>,
    health: Arc<Health>,
    /// Held until the end.
    _data_dir: DataDir,
}

impl Started {
    async fn stop(mut self) -> Result<(), ExitError> {
        self.health.stopping();
        self.parts.end();
        if !self.p2p.shutdown(SESSIONS_STOP).await {
            tracing::warn!("some sessions were cut off");
        }
        if let Some(archive) = &self.archive {
            archive.writer.close();
        }
        self.parts.ended().await;
        if let Some(archive) = &self.archive {
            archive.history.close().await?;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Descriptors that are not a peer's: listeners, logs, the archive's files, RPC and metrics connections.
const OTHER_DESCRIPTORS: u64 = 768;

/// Says so while there is time, instead of refusing peers when the descriptors are used up.
fn check_descriptors(config: &NodeConfig) {
    let wanted = u64::from(config.max_peers) + 2 * u64::from(config.max_pending_peers) + OTHER_DESCRIPTORS;
    if let Some(limit) = devp2p::raise_descriptor_limit().filter(|limit| *limit < wanted) {
        tracing::warn!(
            limit,
            wanted,
            max_peers = config.max_peers,
            "too few open files are allowed for so many peers: raise the limit (ulimit -n, LimitNOFILE=) or lower MaxPeers"
        );
    }
}

async fn start(loaded: Loaded, source: Source, level: Level, hangup: Hangup) -> Result<Started, ExitError> {
    let Loaded { config, settings, files, .. } = loaded;
    check_descriptors(&config);
    let data_dir = DataDir::open(&config.data_dir)?;
    let key = identity::load(&config.identity, &data_dir)?;
    let own_key = key.clone();
    let directories = live::directories(
        config.live_dir.as_ref(),
        password_file(&config),
        config.http.as_ref().and_then(|http| http.token_file.as_ref()),
    );
    let watch = DirWatch::new(&directories, &files)?;
    let live_file = config.live_dir.as_deref().map(live::read_live).transpose()?.unwrap_or_default();
    let metrics_listener = match &config.metrics {
        Some(metrics) => Some(http::bind("MetricsPort", &metrics.host, metrics.port).await?),
        None => None,
    };
    let rpc_listener = match &config.http {
        Some(rpc) => Some(http::bind("HTTPPort", &rpc.host, rpc.port).await?),
        None => None,
    };
    let ipc_listener = config.ipc.as_deref().map(IpcListener::bind).transpose()?;
    let mut parts = Parts::default();
    let metrics = Metrics::new(VERSION, &config.config_hash, config.mailserver.is_some())?;
    metrics.registry().register(Box::new(kernel_clock::collector()?))?;
    metrics.register_system()?;
    let (archive, mailserver, password) = start_history(&config, &metrics, &mut parts).await?;
    let waku = start_waku(&config, archive.as_ref(), mailserver.clone(), &metrics, &mut parts)?;
    let live_peers = live::peers("staticPeers", &live_file.static_peers);
    let trusted = (ids(&config.trusted_peers), live::ids("trustedPeers", &live_file.trusted_peers));
    let peers = (live_peers.as_slice(), trusted.0.union(&trusted.1).copied().collect());
    let sync_peers = sync::Peers::new(config.mailserver.as_ref(), &live_file);
    let replicas = (&sync_peers, sync::period(&live_file));
    let sync = sync::start(&config, key.node_id(), archive.as_ref(), replicas, &metrics)?;
    let protocols = (waku.clone(), sync.clone());
    let (p2p, sequence) = start_p2p(&config, key.clone(), &data_dir, &live_file, peers, protocols)?;
    register_p2p(&metrics, &p2p)?;
    let discovery = start_discovery(&config, key, &data_dir, &p2p, &metrics).await?;
    let statics = (config.static_peers.clone(), live_peers);
    let node = Node::new(
        p2p.clone(),
        config.network_id.get(),
        config.data_dir.clone(),
        waku.clone(),
        sequence,
        statics,
        trusted,
    );
    let node = node.with_discovery(discovery.clone()).with_sync(sync.clone(), sync_peers);
    let node = Arc::new(node);
    if let Some(discovery) = discovery {
        parts.run("discovery", peer_finder::run(discovery, Arc::clone(&node), parts.stop()));
    }
    let backend: Arc<dyn Backend> = Arc::clone(&node) as Arc<dyn Backend>;
    let max_peers = metrics.register_peers(Arc::clone(&backend), config.max_peers)?;
    let health = Arc::new(Health::new(
        archive.as_ref().map(|archive| (Arc::clone(&archive.history), archive.writer.clone())),
    ));
    let report = Arc::new(Report {
        version: VERSION,
        config_hash: config.config_hash.clone(),
        data_dir: config.data_dir.clone(),
        backend: Arc::clone(&backend),
        history: archive.as_ref().map(|archive| Arc::clone(&archive.history)),
        health: Arc::clone(&health),
        sync,
    });
    let services = Services {
        node: backend,
        waku: waku.clone().map(|waku| WakuApi::new(waku, own_key, unix_seconds)),
        archive: archive.as_ref().map(Archive::api),
        report: Arc::clone(&report),
        calls: Calls::default(),
    };
    metrics.registry().register(Box::new(services.calls.collector()?))?;
    let (rpc_addr, token) = start_rpc(&config, rpc_listener, &services, &mut parts)?;
    if let Some(listener) = ipc_listener {
        let rpc = services.full_rpc()?;
        tracing::info!(path = %listener.path().display(), "IPC endpoint opened");
        parts.run("IPC listener", listener.serve(rpc, parts.stop()));
    }
    let metrics_addr = start_web(metrics_listener, Web { report, metrics }, &mut parts);
    let reload = Reload {
        source,
        settings,
        level,
        node: Arc::clone(&node),
        waku,
        mailserver: mailserver.clone(),
        max_peers,
    };
    let live = Live::new(
        reload,
        config.live_dir.clone(),
        mailserver.zip(password).map(|(mailserver, (path, secret))| (mailserver, path, secret)),
        token,
        live_file,
    );
    parts.run("live settings", live.follow(Arc::clone(&node), watch, hangup, parts.stop()));
    if let Some(listen) = p2p.local_addr().filter(|_| config.upnp) {
        upnp::start(listen, config.discovery.is_some(), node, &mut parts);
    }
    start_watchdog(&health, &mut parts);
    tracing::info!(
        p2p = p2p.local_addr().map(tracing::field::display),
        rpc = rpc_addr.map(tracing::field::display),
        metrics = metrics_addr.map(tracing::field::display),
        enode = %p2p.enode(),
        "node started"
    );
    if config.waku.is_some() && !config.ntp {
        // Not before: of a start that fails there is one line, and that says why.
        parts.run_until_stop("kernel clock", kernel_clock::follow());
    }
    Ok(Started { parts, p2p, archive, health, _data_dir: data_dir })
}

fn password_file(config: &NodeConfig) -> Option<&PathBuf> {
    match config.mailserver.as_ref().map(|mailserver| &mailserver.password) {
        Some(Password::File(path)) => Some(path),
        _ => None,
    }
}

/// A password file and what it held.
type PasswordFile = (PathBuf, Secret);
type HistoryParts = (Option<Archive>, Option<Arc<Mailserver>>, Option<PasswordFile>);

async fn start_history(
    config: &NodeConfig,
    metrics: &Metrics,
    parts: &mut Parts,
) -> Result<HistoryParts, ExitError> {
    let (Some(settings), Some(waku)) = (&config.mailserver, &config.waku) else {
        return Ok((None, None, None));
    };
    // Before the archive is touched: a wrong password file is the likelier mistake.
    let (password, file) = match &settings.password {
        Password::Inline(secret) => (secret.clone(), None),
        Password::File(path) => {
            let secret = read_password(path).map_err(|source| ExitError::File {
                setting: "WakuConfig.MailServerPasswordFile",
                action: "read",
                path: path.clone(),
                source,
                remedy: "put the password there; clients of the network use status-offline-inbox",
            })?;
            (secret.clone(), Some((path.clone(), secret)))
        }
    };
    let password = mailserver::Password::new(password.expose().to_owned().into())?;
    let (archive, writer) = Archive::open(settings, metrics.registry(), parts).await?;
    parts.run("archive writer", writer);
    parts.run_until_stop("retention", archive.keep_retention());
    let mailserver = Mailserver::new(
        mailserver::Config {
            minimum_pow: waku.minimum_pow,
            max_message_size: waku.max_message_size,
            rate_limit: settings.rate_limit.unwrap_or_default(),
        },
        &password,
        Arc::clone(&archive.history),
        Arc::clone(&archive.metrics),
        Arc::new(unix_seconds),
    );
    Ok((Some(archive), Some(mailserver), file))
}

fn start_waku(
    config: &NodeConfig,
    archive: Option<&Archive>,
    mailserver: Option<Arc<Mailserver>>,
    metrics: &Metrics,
    parts: &mut Parts,
) -> Result<Option<Arc<Waku>>, ExitError> {
    let Some(settings) = &config.waku else { return Ok(None) };
    let families = waku::Metrics::register(metrics.registry())?;
    let clock: waku::Clock = if config.ntp {
        let adjusted = Arc::<AdjustedClock>::default();
        metrics.registry().register(Box::new(ntp::offset(&adjusted)?))?;
        parts.run_until_stop("NTP", ntp::follow(Arc::clone(&adjusted)));
        Arc::new(move || adjusted.now())
    } else {
        Arc::new(unix_seconds)
    };
    let waku = Waku::new(
        waku::Config {
            min_pow: settings.minimum_pow,
            max_message_size: usize::try_from(settings.max_message_size).unwrap_or(usize::MAX),
            full_node: settings.full_node,
            light_client: settings.light_client,
            bloom_filter_mode: settings.bloom_filter_mode,
            confirmations: settings.confirmations,
            soft_blacklist: settings.soft_blacklist.iter().copied().collect(),
            shared_sources: config.shared_sources.clone(),
            limits: rate_limits(config, settings.rate_limits.as_ref()),
            ..waku::Config::new(clock)
        },
        archive.map(|archive| archive.writer.clone()),
        mailserver,
        families,
    );
    let relay = Arc::clone(&waku);
    metrics.registry().register(Box::new(scraped::relay(move || relay.stats())?))?;
    let limiter = Arc::clone(&waku);
    metrics.registry().register(Box::new(scraped::limited(move || limiter.limited_peers())?))?;
    parts.run_until_stop("expiry", Arc::clone(&waku).expire());
    Ok(Some(waku))
}

fn start_p2p(
    config: &NodeConfig,
    key: NodeKey,
    data_dir: &DataDir,
    live_file: &LiveFile,
    (live_peers, trusted): (&[EnodeUrl], Vec<NodeId>),
    (waku, sync): (Option<Arc<Waku>>, Option<Arc<ReplicaSync>>),
) -> Result<(Handle, Sequence), ExitError> {
    let sequence = Sequence::of(data_dir);
    let keep_error = |source| ExitError::File {
        setting: "DataDir",
        action: "keep the record's number in",
        path: sequence.path().to_owned(),
        source,
        remedy: "free space or give a DataDir that this user may write to",
    };
    let record_seq = sequence.read().map_err(keep_error)?;
    sequence.keep(record_seq.saturating_add(1)).map_err(keep_error)?;
    let host = config.listen.host.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let mut settings = devp2p::Config::new(key, client_name());
    settings.listen = Some(SocketAddr::new(host, config.listen.port));
    if let Some(waku) = &config.waku {
        settings.max_message_size = usize::try_from(waku.max_message_size).unwrap_or(usize::MAX);
    }
    (settings.max_peers, settings.max_pending) = peer_limits(config);
    settings.static_peers = config.static_peers.iter().chain(live_peers).cloned().collect();
    settings.trusted_peers = trusted;
    settings.shared_sources = config.shared_sources.clone();
    settings.advertised = live::endpoint(live_file).or(fixed_endpoint(config));
    settings.record_seq = record_seq;
    let waku = waku.map(|waku| waku as Arc<dyn Protocol>);
    let protocols = waku.into_iter().chain(sync.map(|sync| sync as Arc<dyn Protocol>)).collect();
    match Manager::start(settings, protocols) {
        Ok(handle) => Ok((handle, sequence)),
        Err(StartError::Listen { address, source }) => {
            Err(ExitError::Listen { setting: "ListenAddr", address: address.to_string(), source })
        }
        Err(StartError::Record(error)) => Err(ExitError::Identity(error.to_string())),
    }
}

fn register_p2p(metrics: &Metrics, p2p: &Handle) -> Result<(), ExitError> {
    let (registry, server) = (metrics.registry(), p2p.clone());
    registry.register(Box::new(scraped::Connections::new(move || server.totals())?))?;
    let server = p2p.clone();
    registry.register(Box::new(traffic::Sessions::new(move || server.traffic())?))?;
    let server = p2p.clone();
    registry.register(Box::new(scraped::slots(move || server.inbound_slots_left())?))?;
    Ok(())
}

/// Discovery listens on the port that the server has: others take the two for the same (`spec/devp2p.md` §6.3).
async fn start_discovery(
    config: &NodeConfig,
    key: NodeKey,
    data_dir: &DataDir,
    p2p: &Handle,
    metrics: &Metrics,
) -> Result<Option<Arc<Discovery>>, ExitError> {
    let (Some(settings), Some(listen)) = (&config.discovery, p2p.local_addr()) else {
        metrics.registry().register(Box::new(traffic::Discovery::new(|| None)?))?;
        return Ok(None);
    };
    let settings = peer_finder::Settings {
        key,
        listen,
        config: settings.clone(),
        trusted_mailservers: config.trusted_mailservers.clone(),
        shared_sources: config.shared_sources.clone(),
        cache: data_dir.file("discovered-peers.json"),
    };
    let discovery = Discovery::start(settings, p2p.advertised()).await.map_err(|error| match error {
        discovery::StartError::Listen { address, source } => {
            ExitError::Listen { setting: "ListenAddr", address: format!("UDP {address}"), source }
        }
        discovery::StartError::BootNode(_) => ExitError::BootNode(error.to_string()),
    })?;
    let asked = Arc::clone(&discovery);
    metrics.registry().register(Box::new(scraped::discovery(move || asked.stats())?))?;
    let asked = Arc::clone(&discovery);
    metrics.registry().register(Box::new(traffic::Discovery::new(move || asked.stats())?))?;
    Ok(Some(discovery))
}

type TokenFile = (Arc<Token>, PathBuf);

fn start_rpc(
    config: &NodeConfig,
    listener: Option<TcpListener>,
    services: &Services,
    parts: &mut Parts,
) -> Result<(Option<SocketAddr>, Option<TokenFile>), ExitError> {
    let (Some(settings), Some(listener)) = (&config.http, listener) else { return Ok((None, None)) };
    let address = listener.local_addr().ok();
    let token = settings.token_file.as_ref().map(|path| (Arc::new(Token::default()), path.clone()));
    let write = match &token {
        Some((token, path)) => {
            // Later problems are reported by the watch over the file, which looks at once.
            if let Ok(text) = read_text(path, MAX_SECRET_BYTES) {
                let _ = token.set(&text);
            }
            WriteAccess::Token(Arc::clone(token))
        }
        None if address.is_some_and(|address| address.ip().is_loopback()) => WriteAccess::Open,
        None => WriteAccess::Off,
    };
    let rpc = services.rpc(&settings.modules, &write)?;
    let access = Access {
        write,
        virtual_hosts: settings.virtual_hosts.clone(),
        origins: settings.cors.clone(),
        websocket_origins: settings.websocket.as_ref().map(|websocket| websocket.origins.clone()),
    };
    parts.run("JSON-RPC listener", rpc::serve(listener, rpc, access, parts.stop()));
    Ok((address, token))
}

fn start_web(listener: Option<TcpListener>, web: Web, parts: &mut Parts) -> Option<SocketAddr> {
    let listener = listener?;
    let address = listener.local_addr().ok();
    parts.run("metrics listener", http::serve(listener, web::router(web), parts.stop()));
    address
}

/// Keeps a service manager's watchdog quiet for as long as the event loop runs.
fn start_watchdog(health: &Arc<Health>, parts: &mut Parts) {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) || micros < 2 {
        return;
    }
    let health = Arc::clone(health);
    parts.run_until_stop("watchdog", async move {
        let mut tick = interval(Duration::from_micros(micros / 2));
        loop {
            tick.tick().await;
            if health.is_live().await {
                tell(NotifyState::Watchdog);
            }
        }
    });
}
