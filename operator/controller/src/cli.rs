//! The command line of the operator: flags, the environment variables that stand for them, and their bounds.
//!
//! Owns every setting of the program. Must never read anything else: what a `StatusNode` wants is in its spec.

use std::net::SocketAddr;

use clap::{ArgAction, Parser, ValueEnum};

/// Form of the log lines on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for collectors.
    Json,
    /// Human-readable lines.
    Text,
}

/// Kubernetes operator for clusters of Status nodes.
#[derive(Debug, Clone, Parser)]
#[command(name = "status-operator", version, about, max_term_width = 110)]
pub struct Args {
    /// Image of the node for every StatusNode that names none in `spec.image`.
    #[arg(long, env = "NODE_IMAGE", value_name = "IMAGE", value_parser = non_empty)]
    pub node_image: String,

    /// Namespace the operator runs in; holds its Lease and is let in by the nodes' NetworkPolicies.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", value_parser = non_empty)]
    pub namespace: String,

    /// Name of this instance in the Lease and in events: the pod name.
    #[arg(long, env = "POD_NAME", value_name = "NAME", value_parser = non_empty)]
    pub instance: String,

    /// Namespaces to watch, separated by commas. Absent: all.
    #[arg(long, env = "WATCH_NAMESPACES", value_name = "LIST", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Address of /metrics, /livez and /readyz.
    #[arg(long, env = "LISTEN_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen_address: SocketAddr,

    /// Only the holder of the Lease writes and probes. Off: for one instance that is started by hand.
    #[arg(long, env = "LEADER_ELECTION", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub leader_election: bool,

    /// Name of the Lease.
    #[arg(long, env = "LEASE_NAME", value_name = "NAME", default_value = "status-operator", value_parser = non_empty)]
    pub lease_name: String,

    /// Seconds after which an instance that went silent loses the Lease.
    #[arg(long, env = "LEASE_SECONDS", value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(3..=300))]
    pub lease_seconds: u32,

    /// StatusNodes reconciled at the same time.
    #[arg(long, env = "CONCURRENCY", value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,

    /// Canaries run at the same time.
    #[arg(long, env = "PROBE_CONCURRENCY", value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub probe_concurrency: u16,

    /// Filter of the log lines, as `info` or `info,status_operator=debug`.
    #[arg(long, env = "LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: String,

    /// Form of the log lines.
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

impl Args {
    /// The watched namespaces without blanks and repetitions; empty means all.
    pub fn scopes(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.watch_namespaces.iter().map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn non_empty(value: &str) -> Result<String, String> {
    let value = value.trim();
    if value.is_empty() { Err("must not be empty".into()) } else { Ok(value.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [&str; 7] =
        ["status-operator", "--node-image", "example/node:1", "--namespace", "ops", "--instance", "op-0"];

    fn parse(more: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(REQUIRED.iter().chain(more))
    }

    #[test]
    fn defaults_are_those_of_the_help() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.listen_address.port(), 8080);
        assert!(args.leader_election);
        assert_eq!(args.lease_seconds, 15);
        assert!(args.scopes().is_empty());
    }

    #[test]
    fn namespaces_are_trimmed_and_unique() {
        let args = parse(&["--watch-namespaces", "b, a,,b"]).unwrap();
        assert_eq!(args.scopes(), ["a", "b"]);
    }

    #[test]
    fn bad_values_name_the_flag() {
        for (flag, value) in [
            ("--lease-seconds", "1"),
            ("--concurrency", "0"),
            ("--node-image", " "),
            ("--listen-address", "x"),
        ] {
            let words: Vec<&str> = ["status-operator", flag, value].into();
            let message = Args::try_parse_from(words).unwrap_err().to_string();
            assert!(message.contains(flag), "{flag}: {message}");
        }
    }
}
