//! A client outside the cluster: it knows what `kubectl` shows and nothing else, and it is one of two programs that share
//! no code: our `statusctl`, or `status-peer` on go-ethereum's p2p package. Both take the same flags and print the same JSON.
//!
//! Owns: reading the published enodes, running either client to its end or while the test goes on. Must never: look into
//! the cluster for an address.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::cluster::kubectl;
use crate::envelopes::{Envelopes, once_each, reachable};
use crate::program::{Output, path, run};

/// The enodes that `kubectl` shows of a `StatusNode`, in order of ordinals.
pub async fn shown_enodes(namespace: &str, name: &str) -> Vec<String> {
    let columns = r#"jsonpath={range .status.nodes[*]}{.enode}{"\n"}{end}"#;
    let text = kubectl(&["get", "statusnode", name, "-n", namespace, "-o", columns]).await.ok();
    text.lines().map(str::to_owned).collect()
}

/// [`shown_enodes`], once each leads to its node.
pub async fn reached_enodes(namespace: &str, name: &str) -> Vec<String> {
    let enodes = shown_enodes(namespace, name).await;
    for enode in &enodes {
        reachable(enode).await;
    }
    enodes
}

/// One of the two clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `statusctl`
    Ours,
    /// `status-peer`
    Independent,
}

impl Client {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Independent];

    fn command(self) -> (PathBuf, &'static [&'static str]) {
        match self {
            Self::Ours => (path("STATUS_PROGRAMS").join("node-tools"), &["statusctl"]),
            Self::Independent => (path("STATUS_BIN").join("status-peer"), &[]),
        }
    }

    /// Runs a command to its end.
    pub async fn run(self, args: &[&str]) -> Output {
        let (program, first) = self.command();
        run(program, first.iter().chain(args)).await
    }

    /// The last day's history of a topic in one of the request forms, `plain` or `encrypted`. `Err` when the node cannot be
    /// asked; an envelope that comes twice is a failure.
    pub async fn history(self, enode: &str, topic: &str, form: &str) -> Result<Envelopes, String> {
        let out = self.run(&["history", enode, "--topic", topic, "--all", "--form", form]).await;
        if out.code != Some(0) {
            return Err(out.stderr);
        }
        Ok(once_each(out.json_lines().into_iter().filter(|line| line["type"] == "envelope").collect()))
    }

    /// Starts a command that goes on; it ends when what is returned is dropped.
    pub fn start(self, args: &[&str]) -> Running {
        let (program, first) = self.command();
        let mut child = Command::new(&program)
            .args(first.iter().chain(args))
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{} cannot be started: {e}", program.display()));
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Running { what: format!("{self:?} {}", args.join(" ")), lines, _child: child }
    }
}

/// The longest wait for a line: both clients give up earlier and say why.
const LINE: Duration = Duration::from_secs(120);

/// A program that runs and prints JSON lines.
pub struct Running {
    what: String,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Running {
    /// The next line; a program that ends instead is a failure.
    pub async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(LINE, self.lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{}: no line within {LINE:?}", self.what));
        let line = line.expect("its output can be read");
        let line = line.unwrap_or_else(|| panic!("{} ended; it says why on standard error", self.what));
        self.parsed(&line)
    }

    /// All lines that are left when the program ends by itself, as it does when its node is gone.
    pub async fn rest(mut self) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let line = tokio::time::timeout(LINE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{}: no line and no end within {LINE:?}", self.what));
            match line.expect("its output can be read") {
                Some(line) => lines.push(self.parsed(&line)),
                None => return lines,
            }
        }
    }

    fn parsed(&self, line: &str) -> Value {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", self.what))
    }
}
