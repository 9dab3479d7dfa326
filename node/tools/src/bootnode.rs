//! `bootnode`: a node of discovery alone, with the reference's flags, with one dash or two.
//! Facts: `spec/devp2p.md` §9, `spec/operations.md` §5.2.
//!
//! What differs on purpose: `-genkey` never replaces a key, so that a script that runs it at every start keeps the
//! node's identity (`spec/operations.md` §0, S23); SIGTERM and SIGINT end the program with 0.

use std::{
    ffi::OsString,
    io::IsTerminal as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgAction, Parser};
use discovery::{Config, Handle, Manager, StartError};
use enode::{Enode, EnodeUrl, NodeKey};
use node_config::{ListenAddr, go_bool};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{files, flags::two_dashes};

const EXIT_CODES: &str = "Exit codes: 0 done, or ended by SIGTERM or SIGINT; 1 cannot run; 2 wrong flags.";

/// Lets nodes find each other: answers discovery over UDP and keeps who registers under which topic.
#[derive(Debug, Parser)]
#[command(name = "bootnode", version, after_help = EXIT_CODES)]
struct Flags {
    /// UDP address to listen on.
    #[arg(long, value_name = "HOST:PORT", default_value = ":30301")]
    addr: String,
    /// Make a key, write it to this file and end. A key that is there stays.
    #[arg(long, value_name = "FILE")]
    genkey: Option<PathBuf>,
    /// File with the node key, 64 hex digits; wins over -keydata.
    #[arg(long, value_name = "FILE")]
    nodekey: Option<PathBuf>,
    /// The node key itself. Everyone on this machine can see it in the list of processes.
    #[arg(long, value_name = "HEX")]
    keydata: Option<String>,
    /// Print the public key of the node key, 128 hex digits, and end.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          hide_default_value = true, value_parser = go_bool)]
    writeaddress: bool,
    /// A node to begin with, once for each.
    #[arg(short = 'n', long = "n", value_name = "ENODE", action = ArgAction::Append, value_parser = boot_node)]
    boot_nodes: Vec<Enode>,
    /// 0 nothing, 1 errors, 2 warnings, 3 information, 4 debug, 5 to 9 everything.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=9))]
    verbosity: u8,
    /// Verbosity of single modules, for example discovery=5,discovery::core=3.
    #[arg(long, value_name = "MODULE=LEVEL,…", default_value = "", hide_default_value = true)]
    vmodule: String,
}

pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let flags = match Flags::try_parse_from(two_dashes(args)) {
        Ok(flags) => flags,
        // Prints help to standard output with 0, mistakes to standard error with 2.
        Err(error) => error.exit(),
    };
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bootnode: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), String> {
    if let Some(path) = &flags.genkey {
        return generate(path);
    }
    init_log(flags)?;
    let key = node_key(flags)?;
    if flags.writeaddress {
        println!("{}", key.public_key());
        return Ok(());
    }
    let config = config(flags, key)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(serve(config, flags))
}

/// Makes a key file unless there is one with a key.
fn generate(path: &Path) -> Result<(), String> {
    if path.exists() {
        files::read_key(path)?;
        eprintln!("bootnode: {} has a key, which stays", path.display());
        return Ok(());
    }
    files::write_key(path, &NodeKey::generate())
}

fn node_key(flags: &Flags) -> Result<NodeKey, String> {
    match (&flags.nodekey, &flags.keydata) {
        (Some(path), _) => files::read_key(path),
        (None, Some(hex)) => {
            tracing::warn!(
                "a key given with -keydata is seen in the list of processes: give a file with -nodekey"
            );
            NodeKey::from_hex(hex).map_err(|error| format!("-keydata: {error}"))
        }
        (None, None) => {
            Err("either `nodekey` or `keydata` must be provided; -genkey FILE makes a key".to_owned())
        }
    }
}

/// The rules of the reference's old parser (`spec/devp2p.md` §1.3): an IP address, no name; `0x` before the key is taken.
fn boot_node(text: &str) -> Result<Enode, String> {
    EnodeUrl::parse_with_0x(text).and_then(Enode::try_from).map_err(|error| error.to_string())
}

fn config(flags: &Flags, key: NodeKey) -> Result<Config, String> {
    let listen: ListenAddr = flags.addr.parse().map_err(|()| {
        format!(
            "-addr: {:?} is not host:port, give an IP address and a port such as 0.0.0.0:30301, [::1]:30301 or :30301",
            flags.addr
        )
    })?;
    let host = listen.host.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    for node in &flags.boot_nodes {
        if node.endpoint.is_none_or(|at| at.tcp == 0 || at.udp == 0) {
            return Err(format!(
                "-n: {node} is not complete, want enode://<128 hex>@<ip>:<port> with a port that is not 0"
            ));
        }
    }
    let boot_nodes = flags.boot_nodes.clone();
    Ok(Config { boot_nodes, ..Config::new(key, SocketAddr::new(host, listen.port)) })
}

/// Starts; a machine without IPv6 has only the other wildcard.
fn start(config: Config) -> Result<Handle, StartError> {
    let wildcard = config.listen.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), config.listen.port());
    let second = Config { listen: v4, ..config.clone() };
    match Manager::start(config) {
        Err(StartError::Listen { source, .. })
            if wildcard && source.kind() != std::io::ErrorKind::AddrInUse =>
        {
            Manager::start(second)
        }
        started => started,
    }
}

async fn serve(config: Config, flags: &Flags) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot wait for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let discovery = start(config).map_err(|error| match error {
        StartError::Listen { .. } => format!("{error}; give another address with -addr {}", flags.addr),
        StartError::BootNode(_) => format!("-n: {error}"),
    })?;
    tracing::info!(net = %discovery.enode(), "UDP listener up");
    let ended_by = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(by = ended_by, "stopping");
    discovery.shutdown().await;
    Ok(())
}

fn init_log(flags: &Flags) -> Result<(), String> {
    let level = |verbosity: u8| match verbosity {
        0 => "off",
        1 => "error",
        2 => "warn",
        3 => "info",
        4 => "debug",
        _ => "trace",
    };
    let mut filter = level(flags.verbosity).to_owned();
    for rule in flags.vmodule.split(',').filter(|rule| !rule.is_empty()) {
        let wrong = || format!("-vmodule: {rule:?} is not MODULE=LEVEL with a level from 0 to 9");
        let (module, verbosity) = rule.split_once('=').ok_or_else(wrong)?;
        let verbosity: u8 = verbosity.parse().ok().filter(|v| *v <= 9).ok_or_else(wrong)?;
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        if module.is_empty() || !module.chars().all(named) {
            return Err(wrong());
        }
        filter += &format!(",{module}={}", level(verbosity));
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter).map_err(|error| format!("-vmodule: {error}"))?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace24351232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439";

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        let args = std::iter::once("bootnode").chain(args.iter().copied()).map(OsString::from).collect();
        Flags::try_parse_from(two_dashes(args))
    }

    fn listen(addr: &str) -> Result<SocketAddr, String> {
        config(&parse(&["-addr", addr]).unwrap(), NodeKey::generate()).map(|config| config.listen)
    }

    /// `spec/operations.md` §5.2, every flag.
    #[test]
    fn flags_of_operations_5_2_with_one_dash_or_two() {
        for dash in ["-", "--"] {
            for name in ["addr", "genkey", "nodekey", "keydata", "vmodule"] {
                parse(&[&format!("{dash}{name}"), "x"]).unwrap();
                parse(&[&format!("{dash}{name}=x")]).unwrap();
            }
            parse(&[&format!("{dash}verbosity"), "9"]).unwrap();
            assert!(parse(&[&format!("{dash}writeaddress")]).unwrap().writeaddress);
            assert!(!parse(&[&format!("{dash}writeaddress=false")]).unwrap().writeaddress);
            let node = format!("enode://{KEY}@127.0.0.1:5");
            let flag = format!("{dash}n");
            assert_eq!(parse(&[&flag, &node, &flag, &node]).unwrap().boot_nodes.len(), 2);
            assert_eq!(parse(&[&format!("{flag}={node}")]).unwrap().boot_nodes.len(), 1);
        }
        let flags = parse(&[]).unwrap();
        assert_eq!((flags.addr.as_str(), flags.verbosity, flags.writeaddress), (":30301", 3, false));
        for wrong in [["-verbosity", "10"], ["-unknown", "1"], ["-n", "nonsense"]] {
            assert_eq!(parse(&wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        assert_eq!(parse(&["-h"]).unwrap_err().exit_code(), 0);
    }

    /// `spec/devp2p.md` §11.8, column "legacy discv5 parser"; §9: what must be complete.
    #[test]
    fn section_11_8_boot_nodes() {
        let node =
            |text: &str| boot_node(&text.replace('K', KEY)).map(|node| node.to_string().replace(KEY, "K"));
        for text in [
            "enode://K@127.0.0.1:52150",
            "enode://K@[2001:db8:3c4d:15::abcd:ef12]:52150",
            "enode://K@127.0.0.1:52150?discport=22334",
            "enode://K",
        ] {
            assert_eq!(node(text).as_deref(), Ok(text));
        }
        assert_eq!(node("enode://0xK@127.0.0.1:5").as_deref(), Ok("enode://K@127.0.0.1:5"));
        for text in [
            "enode://K@127.0.0.1:foo",
            "enode://K@127.0.0.1:3?discport=foo",
            "enode://K@hostname:3",
            "enode://01010101@123.124.125.126:3",
            "enode://01010101",
            "http://foobar",
        ] {
            assert!(node(text).is_err(), "{text}");
        }
        for incomplete in ["enode://K", "enode://K@127.0.0.1:0", "enode://K@127.0.0.1:5?discport=0"] {
            let flags = parse(&["-n", &incomplete.replace('K', KEY)]).unwrap();
            assert!(
                config(&flags, NodeKey::generate()).unwrap_err().contains("not complete"),
                "{incomplete}"
            );
        }
    }

    #[test]
    fn addresses_to_listen_on() {
        for (addr, want) in [
            (":30301", "[::]:30301"),
            ("0.0.0.0:443", "0.0.0.0:443"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:5", "127.0.0.1:5"),
        ] {
            assert_eq!(listen(addr), Ok(want.parse().unwrap()));
        }
        for wrong in ["30301", "a.example:1", ":99999", ""] {
            assert!(listen(wrong).unwrap_err().contains("0.0.0.0:30301"), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_needed_and_a_file_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodekey");
        let file = path.to_str().unwrap();
        assert!(
            node_key(&parse(&[]).unwrap())
                .unwrap_err()
                .starts_with("either `nodekey` or `keydata` must be provided")
        );
        let other = NodeKey::generate();
        let data = other.to_hex();
        let by_data = node_key(&parse(&["-keydata", &data]).unwrap()).unwrap();
        assert_eq!(by_data.public_key(), other.public_key());
        assert!(node_key(&parse(&["-keydata", "12"]).unwrap()).unwrap_err().starts_with("-keydata: "));
        assert!(
            node_key(&parse(&["-nodekey", file, "-keydata", &data]).unwrap()).unwrap_err().contains(file)
        );
        generate(&path).unwrap();
        let made = node_key(&parse(&["-nodekey", file, "-keydata", &data]).unwrap()).unwrap();
        assert_ne!(made.public_key(), other.public_key());
        generate(&path).unwrap();
        assert_eq!(files::read_key(&path).unwrap().public_key(), made.public_key(), "it stays");
        std::fs::write(&path, "no key").unwrap();
        assert!(generate(&path).unwrap_err().contains(file));
    }
}
