//! Runs the programs a user would run. The tests live in the namespace `outside`, so what runs here is a client
//! outside the cluster.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// What a program left: exit code (or `None` when a signal ended it) and both streams.
#[derive(Debug)]
pub struct Output {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a program that had to succeed.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard output as one JSON value.
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("not one JSON value ({e}): {text}"))
    }

    /// Standard output as JSON lines.
    pub fn json_lines(self) -> Vec<Value> {
        let text = self.ok();
        text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }
}

/// A path from the environment that the start script sets.
pub(crate) fn path(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set; run the tests by `make e2e`"))
        .into()
}

/// Runs a program to its end, at most 10 minutes.
pub async fn run<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = tokio::process::Command::new(&program);
    command.args(args).kill_on_drop(true).stdin(std::process::Stdio::null());
    let out = tokio::time::timeout(Duration::from_secs(600), command.output())
        .await
        .unwrap_or_else(|_| panic!("{:?} did not end within 10 minutes", program.as_ref()))
        .unwrap_or_else(|e| panic!("{:?} cannot be started: {e}", program.as_ref()));
    Output {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

async fn tool(name: &str, args: &[&str]) -> Output {
    let all = std::iter::once(name).chain(args.iter().copied());
    run(path("STATUS_PROGRAMS").join("node-tools"), all).await
}

/// `statusctl ARGS…`
pub async fn statusctl(args: &[&str]) -> Output {
    tool("statusctl", args).await
}

/// `node-canary ARGS…`
pub async fn node_canary(args: &[&str]) -> Output {
    tool("node-canary", args).await
}

/// The independent peer (Go), `status-peer ARGS…`
pub async fn status_peer(args: &[&str]) -> Output {
    run(path("STATUS_BIN").join("status-peer"), args).await
}
