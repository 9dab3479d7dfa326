//! What changes while the node runs: `live.json`, the password, the RPC token, and the configuration itself. A file that
//! cannot be used changes nothing and is reported. Facts: design §2 "Advertised address"; `node_config::LiveFile`.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use enode::{Endpoint, EnodeUrl, NodeId};
use mailserver::Mailserver;
use node_config::{LIVE_FILE_NAME, LiveFile, Secret};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::ExitError,
    files::{MAX_CONFIG_BYTES, MAX_SECRET_BYTES, read_password, read_text},
    node::Node,
    reload::{self, Reload},
    rpc::Token,
    stop::Hangup,
    sync,
    watch::DirWatch,
};

/// The files and whom they concern.
pub(crate) struct Live {
    /// The configuration.
    reload: Reload,
    /// Directory of `live.json`.
    live_dir: Option<PathBuf>,
    /// The mailserver, its password file, and the password it has.
    password: Option<(Arc<Mailserver>, PathBuf, Secret)>,
    /// The token and its file.
    token: Option<(Arc<Token>, PathBuf)>,
    /// What was applied last.
    applied: LiveFile,
    /// The last complaint of each file, so that it is made once.
    complaints: HashSet<String>,
}

/// The directories that hold the files, each with the setting that names it. A missing secrets directory is not
/// watched: the operator mounts none when nothing is configured there.
pub(crate) fn directories(
    live_dir: Option<&PathBuf>,
    password: Option<&PathBuf>,
    token: Option<&PathBuf>,
) -> Vec<(&'static str, PathBuf)> {
    let parent = |file: &PathBuf| file.parent().filter(|dir| dir.is_dir()).map(PathBuf::from);
    let mut all: Vec<_> = live_dir.map(|dir| ("LiveDir", dir.clone())).into_iter().collect();
    all.extend(password.and_then(parent).map(|dir| ("WakuConfig.MailServerPasswordFile", dir)));
    all.extend(token.and_then(parent).map(|dir| ("RPCTokenFile", dir)));
    all
}

/// Reads `live.json` in `dir`; an absent file is an empty one.
///
/// # Errors
/// It is there and cannot be used.
pub(crate) fn read_live(dir: &std::path::Path) -> Result<LiveFile, ExitError> {
    let path = dir.join(LIVE_FILE_NAME);
    match read_text(&path, MAX_CONFIG_BYTES) {
        Ok(text) => Ok(LiveFile::parse(&path.display().to_string(), &text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(LiveFile::default()),
        Err(source) => Err(ExitError::File {
            setting: "LiveDir",
            action: "read",
            path,
            source,
            remedy: "make it a text file that this user may read",
        }),
    }
}

/// The endpoint that a live file advertises.
pub(crate) fn endpoint(live: &LiveFile) -> Option<Endpoint> {
    live.advertise.map(|a| Endpoint::new(a.address, a.tcp_port, a.udp_port))
}

/// The peers of a list in a live file; what does not parse is skipped with a warning.
pub(crate) fn peers(field: &str, urls: &[String]) -> Vec<EnodeUrl> {
    let parse = |(index, text): (usize, &String)| {
        text.parse().map_err(|error| tracing::warn!("live.json: {field}[{index}] is skipped: {error}")).ok()
    };
    urls.iter().enumerate().filter_map(parse).collect()
}

/// The node ids of a list in a live file.
pub(crate) fn ids(field: &str, urls: &[String]) -> HashSet<NodeId> {
    reload::ids(&peers(field, urls))
}

impl Live {
    /// Follows these files; `applied` is what the node was started with.
    pub(crate) fn new(
        reload: Reload,
        live_dir: Option<PathBuf>,
        password: Option<(Arc<Mailserver>, PathBuf, Secret)>,
        token: Option<(Arc<Token>, PathBuf)>,
        applied: LiveFile,
    ) -> Self {
        Self { reload, live_dir, password, token, applied, complaints: HashSet::new() }
    }

    /// Applies every change until `stop`.
    pub(crate) async fn follow(
        mut self,
        node: Arc<Node>,
        watch: DirWatch,
        mut hangup: Hangup,
        stop: CancellationToken,
    ) {
        loop {
            // First a look: something may have changed before the watch began.
            self.look(&node).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = watch.changed() => {}
                () = hangup.received() => {
                    tracing::info!("SIGHUP: reading the configuration again");
                    // Whoever sends it wants to hear what is wrong, also for the second time.
                    self.complaints.clear();
                }
            }
        }
    }

    async fn look(&mut self, node: &Arc<Node>) {
        match self.reload.again().await {
            Ok(true) => self.complaints.clear(),
            Ok(false) => {}
            Err(error) => {
                self.complain(format!("the configuration is not read again: {error}; nothing changed"))
            }
        }
        if let Some(dir) = &self.live_dir {
            match read_live(dir) {
                Ok(live) if live != self.applied => {
                    self.complaints.clear();
                    if self.apply(node, &live).await {
                        self.applied = live;
                    }
                }
                Ok(_) => {}
                Err(error) => self.complain(error.to_string()),
            }
        }
        self.look_at_password().await;
        self.look_at_token();
    }

    async fn apply(&self, node: &Arc<Node>, live: &LiveFile) -> bool {
        if let Err(error) = node.advertise(endpoint(live)).await {
            tracing::error!(%error, "the address is not advertised");
            return false;
        }
        if live.static_peers != self.applied.static_peers {
            node.set_live_peers(peers("staticPeers", &live.static_peers));
        }
        if live.trusted_peers != self.applied.trusted_peers {
            node.set_live_trusted(ids("trustedPeers", &live.trusted_peers));
        }
        if live.sync_peers != self.applied.sync_peers {
            let replicas = ids("syncPeers", &live.sync_peers);
            node.change_sync_peers(|peers| peers.live = replicas);
        }
        if live.sync_interval_seconds != self.applied.sync_interval_seconds {
            node.set_sync_period(sync::period(live));
        }
        true
    }

    async fn look_at_password(&mut self) {
        let Some((mailserver, path, current)) = &mut self.password else { return };
        let password = match read_password(path) {
            Ok(password) => password,
            Err(error) => {
                let path = path.display().to_string();
                return self.complain(format!("mailserver password file {path}: {error}; the old one stays"));
            }
        };
        if password == *current {
            return;
        }
        let mailserver = Arc::clone(mailserver);
        let Ok(new) = mailserver::Password::new(password.expose().to_owned().into()) else { return };
        // Deriving the key takes some 20 ms of computing.
        if tokio::task::spawn_blocking(move || mailserver.set_password(&new)).await.is_ok() {
            *current = password;
            tracing::info!("mailserver password replaced");
        }
    }

    fn look_at_token(&mut self) {
        let Some((token, path)) = &self.token else { return };
        let outcome = match read_text(path, MAX_SECRET_BYTES) {
            Ok(text) => token.set(&text).map_err(str::to_owned),
            Err(error) => {
                token.clear();
                Err(format!("cannot be read: {error}; write methods are refused until it can"))
            }
        };
        if let Err(problem) = outcome {
            self.complain(format!("RPCTokenFile {} {problem}", path.display()));
        }
    }

    fn complain(&mut self, text: String) {
        if self.complaints.insert(text.clone()) {
            tracing::warn!("{text}");
        }
    }
}
