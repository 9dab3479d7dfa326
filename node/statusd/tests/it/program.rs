//! The real program on loopback with a directory of its own, and plain HTTP to talk to it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const START: Duration = Duration::from_secs(60);
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A directory and a config in it, before the start.
pub(crate) struct Setup {
    root: Arc<tempfile::TempDir>,
    pub(crate) config: Value,
}

impl Default for Setup {
    /// A mailserver with every listener on a free port of loopback.
    fn default() -> Self {
        let root = Arc::new(tempfile::tempdir().unwrap());
        let data = root.path().join("data");
        let live = root.path().join("live");
        fs::create_dir(&live).unwrap();
        let config = json!({"DataDir": data, "ListenAddr": "127.0.0.1:0", "LiveDir": live,
            "HTTPEnabled": true, "HTTPPort": 0, "MetricsEnabled": true, "MetricsPort": 0,
            "WakuConfig": {"EnableMailServer": true, "MailServerPassword": "status-offline-inbox", "EnableConfirmations": true}});
        Self { root, config }
    }
}

impl Setup {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Replaces `live.json` as kubelet replaces a mounted ConfigMap: a new directory and a symlink swap.
    pub(crate) fn write_live(&self, content: &Value) {
        self.write_mounted(&self.path("live"), "live.json", &content.to_string());
    }

    pub(crate) fn write_mounted(&self, dir: &Path, name: &str, content: &str) {
        use std::os::unix::fs::symlink;
        let generation = (1..).map(|n| format!("..{n}")).find(|name| !dir.join(name).exists()).unwrap();
        fs::create_dir_all(dir.join(&generation)).unwrap();
        fs::write(dir.join(&generation).join(name), content).unwrap();
        symlink(&generation, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        let visible = dir.join(name);
        if visible.symlink_metadata().is_err() {
            symlink(Path::new("..data").join(name), visible).unwrap();
        }
    }

    pub(crate) fn command(&self) -> Command {
        let config = self.path("config.json");
        fs::write(&config, self.config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_statusd"));
        command.arg("-c").arg(config).env_remove("NOTIFY_SOCKET").env("HOME", self.root.path());
        command
    }

    pub(crate) fn start(&self) -> Statusd {
        self.start_as(self.command())
    }

    /// Starts a changed [`Self::command`].
    pub(crate) fn start_as(&self, command: Command) -> Statusd {
        Statusd::start(command, Arc::clone(&self.root))
    }

    /// Starts what must not start: exit code and standard error.
    pub(crate) fn start_fails(&self) -> (i32, String) {
        fails(self.command())
    }
}

pub(crate) fn fails(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// A running node. Killed when dropped.
pub(crate) struct Statusd {
    child: Child,
    /// The node's directory outlives it.
    _root: Arc<tempfile::TempDir>,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) p2p: SocketAddr,
    pub(crate) rpc: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

impl Statusd {
    fn start(mut command: Command, root: Arc<tempfile::TempDir>) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (started, wait) = mpsc::channel();
        let (lines, keep) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains("node started") {
                    let _ = started.send(line.clone());
                }
                keep.lock().unwrap().push(line);
            }
        });
        let Ok(line) = wait.recv_timeout(START) else {
            let _ = child.kill();
            panic!("statusd did not start: {:#?}", log.lock().unwrap());
        };
        let address = |name: &str| {
            let field = line.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")));
            field.and_then(|text| text.parse().ok()).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
        };
        let (p2p, rpc, metrics) = (address("p2p"), address("rpc"), address("metrics"));
        Self { child, _root: root, log, p2p, rpc, metrics }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let response = http(self.metrics, "GET", path, &[], b"");
        (response.status, response.body)
    }

    /// The whole JSON-RPC response.
    pub(crate) fn rpc_with(&self, headers: &[(&str, &str)], method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let headers: Vec<_> =
            [("Content-Type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
        let response = http(self.rpc, "POST", "/", &headers, body.as_bytes());
        assert_eq!(response.status, 200, "{}", response.body);
        serde_json::from_str(&response.body).unwrap()
    }

    pub(crate) fn rpc(&self, method: &str, params: Value) -> Value {
        let response = self.rpc_with(&[], method, params);
        assert!(response.get("error").is_none(), "{response}");
        response["result"].clone()
    }

    /// Its enode at the listener's address: nothing is advertised on loopback.
    pub(crate) fn enode(&self) -> String {
        let public = self.rpc("admin_nodeInfo", json!([]))["enode"].as_str().unwrap().to_owned();
        format!("{public}@{}", self.p2p)
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Sends a signal by name and waits for the end.
    pub(crate) fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        self.signal(signal);
        let status = until("the process ends", Duration::from_secs(30), || self.child.try_wait().unwrap());
        (status, self.log())
    }
}

impl Drop for Statusd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer; another process offers no event to wait for.
pub(crate) fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// The body as it came, compressed or not.
    pub(crate) bytes: Vec<u8>,
}

/// One HTTP/1.1 request as written, one response as it came.
pub(crate) fn http(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head += "Host: localhost\r\n";
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding")) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    // The server may answer and close before it has read a body that is too large.
    let _ = stream.write_all(body);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let end = text.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no HTTP response: {:?}", String::from_utf8_lossy(&text)));
    let head = String::from_utf8_lossy(&text[..end]).to_ascii_lowercase();
    let bytes = text.split_off(end + 4);
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
    Response { status, head, body: String::from_utf8_lossy(&bytes).into_owned(), bytes }
}
