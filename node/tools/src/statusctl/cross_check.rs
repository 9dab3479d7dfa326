//! Comparing what several mailservers have.
//!
//! A command of `statusctl` and not of `node-canary`: that one takes the reference's flags and knows no commands, and this
//! asks several nodes by the flags that `history` has.

use std::time::Duration;

use clap::Args;
use enode::{EnodeUrl, NodeKey};
use futures::future::try_join_all;
use node_client::{
    Client, Options,
    cross_check::{CrossCheck, Hole, Question, ServerError, Summary},
};
use serde::Serialize;

use super::{
    Failure,
    history::How,
    print,
    session::{Topics, seconds, unix_now},
};

/// Servers that are compared at once.
const MOST: usize = 16;
/// What is younger may still be on its way from one server to another, seconds.
const SETTLED: u32 = 60;

#[derive(Debug, Args)]
pub(super) struct CrossCheckArguments {
    /// The mailservers, two at least.
    #[arg(required = true, value_name = "ENODE")]
    enodes: Vec<EnodeUrl>,
    #[command(flatten)]
    topics: Topics,
    /// First UNIX second; a day before --to when not given.
    #[arg(long)]
    from: Option<u32>,
    /// Last UNIX second; a minute ago when not given: what is younger may still be on its way.
    #[arg(long)]
    to: Option<u32>,
    /// Compare all from --from on, also where a server's history begins later. Otherwise the comparison begins where
    /// each server that has any history has begun.
    #[arg(long)]
    whole: bool,
    /// Seconds for connecting and for each page.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    how: How,
    /// JSON lines: one for each envelope that is not everywhere, then the result.
    #[arg(long)]
    json: bool,
}

impl CrossCheckArguments {
    fn question(&self) -> Result<Question, Failure> {
        let to = self.to.unwrap_or_else(|| unix_now().saturating_sub(SETTLED));
        let from = self.from.unwrap_or_else(|| to.saturating_sub(86_400));
        if from > to {
            return Err(Failure::Usage(format!("--from {from} is behind --to {to}")));
        }
        if !(2..=MOST).contains(&self.enodes.len()) {
            return Err(Failure::Usage(format!("give 2 to {MOST} enodes")));
        }
        if let Some(bare) = self.enodes.iter().find(|enode| enode.address.is_none()) {
            return Err(Failure::Usage(format!(
                "{bare} has no address, want enode://<128 hex>@<host>:<port>"
            )));
        }
        let mut keys: Vec<_> = self.enodes.iter().map(|enode| enode.public_key.node_id()).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() < self.enodes.len() {
            return Err(Failure::Usage("one node is given twice".to_owned()));
        }
        let patience = Duration::from_secs_f64(self.timeout);
        let (topics, form) = (self.topics.all(), self.how.form()?);
        Ok(Question { from, to, topics, form, patience, whole: self.whole })
    }

    fn failure(&self, ServerError { server, source }: ServerError) -> Failure {
        match self.enodes.get(server) {
            Some(enode) => Failure::Server { enode: enode.to_string(), source },
            None => Failure::Client(source),
        }
    }
}

/// An envelope that not all servers have.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    r#type: &'static str,
    hash: String,
    sent: u32,
    topic: String,
    /// Numbers of the servers that lack it, from 0, as they were given.
    missing_on: Vec<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    r#type: &'static str,
    from: u32,
    to: u32,
    envelopes: u64,
    holes: u64,
    servers: Vec<Server>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    enode: String,
    oldest: Option<u32>,
    envelopes: u64,
    missing: u64,
}

pub(super) async fn cross_check(arguments: &CrossCheckArguments) -> Result<(), Failure> {
    let question = arguments.question()?;
    let key = NodeKey::generate();
    let options = Options { timeout: question.patience, ..Options::quiet() };
    let connecting = arguments.enodes.iter().enumerate().map(|(server, enode)| {
        let connecting = Client::connect(enode, &key, &options);
        async move { connecting.await.map_err(|source| arguments.failure(ServerError { server, source })) }
    });
    let clients = try_join_all(connecting).await?;
    let mut check = CrossCheck::begin(&clients, &question).await.map_err(|error| arguments.failure(error))?;
    while let Some(hole) = check.next_hole().await.map_err(|error| arguments.failure(error))? {
        tell_hole(arguments, &hole)?;
    }
    let summary = check.summary().clone();
    tell_outcome(arguments, &summary)?;
    for client in clients {
        client.close().await;
    }
    let Summary { holes, envelopes, .. } = summary;
    if holes == 0 { Ok(()) } else { Err(Failure::Different { holes, envelopes }) }
}

fn tell_hole(arguments: &CrossCheckArguments, hole: &Hole) -> Result<(), Failure> {
    let (sent, topic) = (hole.row.sent, hex::encode(hole.row.topic.0));
    if arguments.json {
        let (hash, missing_on) = (hole.row.hash.to_string(), hole.missing.clone());
        return print(&Missing { r#type: "missing", hash, sent, topic, missing_on });
    }
    let servers: Vec<String> = hole.missing.iter().map(ToString::to_string).collect();
    line(&format!(
        "missing on {}: envelope {}, sent {sent}, topic {topic}",
        servers.join(", "),
        hole.row.hash
    ))
}

fn tell_outcome(arguments: &CrossCheckArguments, summary: &Summary) -> Result<(), Failure> {
    let servers = arguments.enodes.iter().zip(&summary.servers);
    let Summary { from, to, envelopes, holes, .. } = *summary;
    if arguments.json {
        let servers = servers.map(|(enode, server)| Server {
            enode: enode.to_string(),
            oldest: server.oldest,
            envelopes: server.envelopes,
            missing: server.missing,
        });
        let servers = servers.collect();
        return print(&Outcome { r#type: "result", from, to, envelopes, holes, servers });
    }
    for (index, (enode, server)) in servers.enumerate() {
        let oldest =
            server.oldest.map_or("no history".to_owned(), |oldest| format!("history since {oldest}"));
        let (has, lacks) = (server.envelopes, server.missing);
        line(&format!("server {index}: {has} envelopes, {lacks} missing, {oldest}: {enode}"))?;
    }
    line(&format!("compared from {from} to {to}: {envelopes} envelopes, {holes} not on all servers"))
}

fn line(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}
