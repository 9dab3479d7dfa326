//! What needs no node: keys, enodes, QR codes.

use std::path::PathBuf;

use clap::Args;
use enode::{EnodeUrl, NodeKey};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde::Serialize;

use super::{Failure, print};
use crate::files;

#[derive(Debug, Args)]
pub(super) struct EnodeArguments {
    /// File with the node key, 64 hex digits.
    #[arg(long, value_name = "FILE")]
    nodekey_file: PathBuf,
    /// Address or DNS name under which the node is reached; without it the incomplete form is printed.
    #[arg(long, value_name = "HOST")]
    address: Option<String>,
    /// TCP port.
    #[arg(long, default_value_t = 30303)]
    port: u16,
    /// UDP port, 0 for none; the TCP port when not given.
    #[arg(long)]
    udp_port: Option<u16>,
}

pub(super) fn enode(arguments: &EnodeArguments) -> Result<(), Failure> {
    let key = files::read_key(&arguments.nodekey_file).map_err(Failure::Usage)?;
    println!("{}", enode_of(&key, arguments)?);
    Ok(())
}

fn enode_of(key: &NodeKey, arguments: &EnodeArguments) -> Result<EnodeUrl, Failure> {
    let mut text = format!("enode://{}", key.public_key());
    if let Some(address) = &arguments.address {
        let bracketed = address.parse::<std::net::Ipv6Addr>().map(|ip| format!("[{ip}]"));
        let udp = arguments.udp_port.unwrap_or(arguments.port);
        text +=
            &format!("@{}:{}?discport={udp}", bracketed.unwrap_or_else(|_| address.clone()), arguments.port);
    }
    text.parse().map_err(|error| Failure::Usage(format!("--address: {error}")))
}

#[derive(Debug, Args)]
pub(super) struct KeygenArguments {
    /// File to write the key to, readable for its owner only; never replaces one. Without it the key is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Generated<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    node_key: Option<&'a str>,
    node_id: String,
    public_key: String,
    enode: String,
}

pub(super) fn keygen(arguments: &KeygenArguments) -> Result<(), Failure> {
    let key = NodeKey::generate();
    if let Some(path) = &arguments.out {
        files::write_key(path, &key).map_err(Failure::Local)?;
    }
    let text = key.to_hex();
    print(&Generated {
        node_key: arguments.out.is_none().then_some(text.as_str()),
        node_id: key.node_id().to_string(),
        public_key: key.public_key().to_string(),
        enode: format!("enode://{}", key.public_key()),
    })
}

#[derive(Debug, Args)]
pub(super) struct QrArguments {
    /// What to show, for example an enode.
    text: String,
}

pub(super) fn qr(arguments: &QrArguments) -> Result<(), Failure> {
    println!("{}", qr_code(&arguments.text)?);
    Ok(())
}

/// Dark modules are printed as blanks, which is right on dark terminals; the quiet zone makes it readable on light ones.
fn qr_code(text: &str) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|error| Failure::Usage(format!("the text does not fit a QR code: {error}")))?;
    let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
    Ok(code.render::<Dense1x2>().dark_color(dark).light_color(light).quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(address: Option<&str>, udp_port: Option<u16>) -> EnodeArguments {
        let address = address.map(str::to_owned);
        EnodeArguments { nodekey_file: PathBuf::new(), address, port: 30303, udp_port }
    }

    #[test]
    fn enodes_print_as_in_devp2p_1_3() {
        let key = NodeKey::generate();
        let print = |address, udp| enode_of(&key, &arguments(address, udp)).map(|url| url.to_string());
        let user = format!("enode://{}", key.public_key());
        assert_eq!(print(None, None).unwrap(), user);
        assert_eq!(print(Some("198.51.100.7"), None).unwrap(), format!("{user}@198.51.100.7:30303"));
        assert_eq!(print(Some("::1"), Some(0)).unwrap(), format!("{user}@[::1]:30303?discport=0"));
        assert_eq!(
            print(Some("node.example"), Some(5)).unwrap(),
            format!("{user}@node.example:30303?discport=5")
        );
        assert_eq!(print(Some("a b"), None).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_qr_code_has_the_modules_of_its_text() {
        let text = "enode://00@198.51.100.7:30303";
        let drawn = qr_code(text).unwrap();
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let width = code.width() + 8;
        let rows: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        assert_eq!(rows.len(), width.div_ceil(2));
        for y in 0..code.width() {
            for x in 0..code.width() {
                let glyph = rows[(y + 4) / 2][x + 4];
                let light = if (y + 4) % 2 == 0 { "█▀" } else { "█▄" }.contains(glyph);
                assert_eq!(!light, code[(x, y)] == qrcode::Color::Dark, "module {x},{y}");
            }
        }
        assert!(qr_code(&"x".repeat(10_000)).is_err());
    }
}
