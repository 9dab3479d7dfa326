//! A PostgreSQL server for tests: started in a directory of its own, reached over a Unix socket there, and on a port of
//! loopback. It ends with the process that started it, however that ends.
//!
//! For tests only: fails by panicking. PostgreSQL's own programs must be installed (`scripts/deps.sh build`).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "tests, compiled for tests only"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Ends the server when its standard input does.
const KEEPER: &str = r#"data=$1; remove=$2; shift 2; "$@" & server=$!; read -r _; kill -INT $server; wait $server; [ -z "$remove" ] || rm -rf "$data""#;

/// A server. Stopped and removed when dropped.
pub struct Server {
    directory: PathBuf,
    port: u16,
    options: Vec<String>,
    /// Removed by the keeper: nobody drops this value.
    shared: bool,
    keeper: Option<Child>,
}

/// Where Debian has the programs of the newest version.
fn programs() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed (scripts/deps.sh build)")
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin"))))
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed (scripts/deps.sh build)").1
}

/// A command of the user who runs the server: it refuses to run as root.
fn as_user(program: &str) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", program]);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn id(kind: &str, name: &str) -> u32 {
    run(Command::new("id").args([kind, name])).trim().parse().unwrap()
}

impl Server {
    /// The one server of this test binary.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        // Nothing here is to survive a power cut.
        SHARED.get_or_init(|| Self::start_as(&["fsync=off", "max_connections=200"], true, |_| {}))
    }

    /// A server of its own with these settings.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_as(settings, false, |_| {})
    }

    /// The same, with files put into its directory before it starts. They become its user's.
    pub fn start_with(settings: &[&str], files: impl FnOnce(&Path)) -> Self {
        Self::start_as(settings, false, files)
    }

    fn start_as(settings: &[&str], shared: bool, files: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::Builder::new().prefix("pg").tempdir().unwrap().keep();
        if fs::metadata(&directory).unwrap().uid() == 0 {
            chown(&directory, Some(id("-u", "postgres")), Some(id("-g", "postgres"))).unwrap();
        }
        let initdb = programs().join("initdb");
        run(as_user(initdb.to_str().unwrap())
            .args(["--auth=trust", "--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(directory.join("data")));
        files(&directory);
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(&directory));
        }
        // Free a moment ago; it stays the same over restarts.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { directory, port, options, shared, keeper: None };
        server.run();
        server
    }

    /// Starts it (again), and waits until it answers.
    pub fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.directory.join("log")).unwrap();
        let mut command = as_user("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&self.directory).arg(if self.shared {
            "remove"
        } else {
            ""
        });
        command.arg(programs().join("postgres")).arg("-D").arg(self.data());
        let own = [
            format!("unix_socket_directories={}", self.directory.display()),
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
        ];
        for option in own.iter().chain(&self.options) {
            command.args(["-c", option]);
        }
        let keeper =
            command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.keeper = Some(keeper);
        let begin = Instant::now();
        while !self.psql("postgres", "SELECT 1").output().unwrap().status.success() {
            let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(begin.elapsed() < Duration::from_secs(60), "the server does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it as an administrator does who does not wait for clients, and waits for its end.
    pub fn stop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    /// The directory of its data.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Its port of loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends a signal to all of its processes.
    pub fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &pid]).output().unwrap().stdout;
        let children = String::from_utf8(children).unwrap();
        run(Command::new("kill").arg(format!("-{signal}")).arg(&pid).args(children.split_whitespace()));
    }

    /// psql with one command.
    pub fn psql(&self, database: &str, sql: &str) -> Command {
        let mut command = Command::new(programs().join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]);
        command.arg(&self.directory).args(["-p", &self.port.to_string(), "-d", database, "-c", sql]);
        command
    }

    /// What SQL gives.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        run(&mut self.psql(database, sql)).trim_end().to_owned()
    }

    /// A new, empty database.
    pub fn database(&self) -> Database<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        Database { server: self, name }
    }

    /// The URI of a database, over the Unix socket.
    pub fn uri(&self, database: &str) -> String {
        let socket = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{socket}:{}/{database}", self.port)
    }

    /// A place for files that it may read.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A database. Dropped with this value.
pub struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl Database<'_> {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn uri(&self) -> String {
        self.server.uri(&self.name)
    }

    /// What SQL gives.
    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = self.server.psql("postgres", &drop).output();
    }
}
