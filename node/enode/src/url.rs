//! enode URLs: text forms, `discport`, hosts that are names. Must never resolve a name.
//! Facts: `spec/devp2p.md` §1.3 (main parser), vectors §11.8.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{KeyError, NodeId, PublicKey, Record, RecordError};

/// Why a text is not a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnodeError {
    /// Another scheme than `enode`.
    #[error("invalid URL scheme, want \"enode\"")]
    Scheme,
    /// No `<128 hex>@` before the host.
    #[error("does not contain node ID")]
    NoNodeId,
    /// The part before `@` is no public key.
    #[error("invalid public key ({0})")]
    PublicKey(#[from] KeyError),
    /// The port is missing or not decimal 0..65535.
    #[error("invalid port, want enode://<128 hex>@<host>:<0..65535>")]
    Port,
    /// `discport` is not decimal 0..65535.
    #[error("invalid discport in query, want ?discport=<0..65535>")]
    Discport,
    /// The host is neither an IP literal nor a DNS name.
    #[error("invalid host {0:?}, want an IP address (IPv6 in brackets) or a DNS name")]
    Host(String),
    /// The host is a DNS name where an address is needed.
    #[error("host {0:?} is a DNS name, want an IP address here")]
    Unresolved(String),
    /// [`parse_node`] got neither `enr:` nor `enode://`.
    #[error("missing 'enr:' prefix for base64-encoded record")]
    Prefix,
    /// A node record that does not decode or verify.
    #[error("invalid node record: {0}")]
    Record(#[from] RecordError),
}

/// Where a node listens. `udp` 0 means that it has no UDP port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// IP address; an IPv4-mapped IPv6 address is folded to IPv4 by [`Endpoint::new`].
    pub ip: IpAddr,
    /// RLPx port, 0 when unknown.
    pub tcp: u16,
    /// Discovery port, 0 when there is none.
    pub udp: u16,
}

impl Endpoint {
    /// An endpoint with `ip` in its canonical family.
    #[must_use]
    pub fn new(ip: IpAddr, tcp: u16, udp: u16) -> Self {
        Self { ip: ip.to_canonical(), tcp, udp }
    }
}

/// A node: its key and, when complete, its address. Prints as an enode URL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Enode {
    /// The node's public key.
    pub public_key: PublicKey,
    /// `None` is the incomplete form `enode://<hex>`.
    pub endpoint: Option<Endpoint>,
}

impl Enode {
    /// The node id of the public key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.public_key.node_id()
    }
}

/// The host of an enode URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Host {
    /// An IP literal.
    Ip(IpAddr),
    /// A DNS name, which the caller resolves; the reference takes the first address.
    Dns(String),
}

/// An enode URL as written: its host may still be a DNS name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EnodeUrl {
    /// The node's public key.
    pub public_key: PublicKey,
    /// Host, TCP port and UDP port; `None` is the incomplete form.
    pub address: Option<(Host, u16, u16)>,
}

impl EnodeUrl {
    /// Parses as the reference's discovery does, which also takes `0x` before the key (`spec/devp2p.md` §1.3).
    ///
    /// # Errors
    /// As parsing without it.
    pub fn parse_with_0x(text: &str) -> Result<Self, EnodeError> {
        match text.strip_prefix("enode://0x") {
            Some(rest) => format!("enode://{rest}").parse(),
            None => text.parse(),
        }
    }

    /// The node at `ip`, the address that the caller resolved. `ip` is ignored for an IP literal and an incomplete URL.
    #[must_use]
    pub fn with_ip(&self, ip: IpAddr) -> Enode {
        let endpoint = self.address.as_ref().map(|(host, tcp, udp)| match host {
            Host::Ip(literal) => Endpoint::new(*literal, *tcp, *udp),
            Host::Dns(_) => Endpoint::new(ip, *tcp, *udp),
        });
        Enode { public_key: self.public_key, endpoint }
    }

    /// The DNS name to resolve, if the host is one.
    #[must_use]
    pub fn dns_name(&self) -> Option<&str> {
        match &self.address {
            Some((Host::Dns(name), _, _)) => Some(name),
            _ => None,
        }
    }
}

impl TryFrom<EnodeUrl> for Enode {
    type Error = EnodeError;

    fn try_from(url: EnodeUrl) -> Result<Self, EnodeError> {
        match &url.address {
            None => Ok(Self { public_key: url.public_key, endpoint: None }),
            Some((Host::Ip(ip), _, _)) => Ok(url.with_ip(*ip)),
            Some((Host::Dns(name), _, _)) => Err(EnodeError::Unresolved(name.clone())),
        }
    }
}

impl FromStr for EnodeUrl {
    type Err = EnodeError;

    fn from_str(text: &str) -> Result<Self, EnodeError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("enode") => rest,
            Some(_) => return Err(EnodeError::Scheme),
            None => text,
        };
        if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self { public_key: rest.parse()?, address: None });
        }
        if rest.len() == text.len() {
            return Err(EnodeError::Scheme);
        }
        // As in any URL: the authority ends at the first of these, a path and a fragment say nothing here.
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        let (user, host_port) = authority.rsplit_once('@').ok_or(EnodeError::NoNodeId)?;
        // Operators hand out `key:password@host`, the mail password for the app; it is no part of the node.
        let user = user.split_once(':').map_or(user, |(key, _password)| key);
        let public_key = user.parse::<PublicKey>()?;
        let (host, port) = host_port.rsplit_once(':').ok_or(EnodeError::Port)?;
        let tcp = decimal_port(port).ok_or(EnodeError::Port)?;
        let udp = match discport(tail) {
            None | Some("") => tcp,
            Some(value) => decimal_port(value).ok_or(EnodeError::Discport)?,
        };
        Ok(Self { public_key, address: Some((parse_host(host)?, tcp, udp)) })
    }
}

impl FromStr for Enode {
    type Err = EnodeError;

    fn from_str(text: &str) -> Result<Self, EnodeError> {
        text.parse::<EnodeUrl>()?.try_into()
    }
}

/// Parses what `admin_addPeer` and `static-nodes.json` take: `enr:` text or a string that begins exactly with
/// `enode://` (`spec/devp2p.md` §1.3). Bare hex is refused.
pub fn parse_node(text: &str) -> Result<EnodeUrl, EnodeError> {
    if text.starts_with("enode://") {
        return text.parse();
    }
    if !text.starts_with("enr:") {
        return Err(EnodeError::Prefix);
    }
    Ok(text.parse::<Record>()?.enode().into())
}

impl From<Enode> for EnodeUrl {
    fn from(node: Enode) -> Self {
        let address = node.endpoint.map(|e| (Host::Ip(e.ip), e.tcp, e.udp));
        Self { public_key: node.public_key, address }
    }
}

/// The value of the first `discport` in the query of `tail` (`/path?query#fragment`).
fn discport(tail: &str) -> Option<&str> {
    let tail = tail.split_once('#').map_or(tail, |(before, _)| before);
    let (_, query) = tail.split_once('?')?;
    query.split('&').find_map(|pair| match pair.split_once('=') {
        Some(("discport", value)) => Some(value),
        _ => None,
    })
}

/// Digits only: no sign, no space.
fn decimal_port(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn parse_host(text: &str) -> Result<Host, EnodeError> {
    let invalid = || EnodeError::Host(text.chars().take(64).collect());
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let ip = inner.parse::<Ipv6Addr>().map_err(|_| invalid())?;
        return Ok(Host::Ip(IpAddr::V6(ip).to_canonical()));
    }
    if let Ok(ip) = text.parse::<std::net::Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if text.len() > 253 || !text.strip_suffix('.').unwrap_or(text).split('.').all(label) {
        return Err(invalid());
    }
    // "1.2.3" or "300.1.1.1" is a mistyped address, not a name: no top-level domain is all digits.
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(invalid());
    }
    Ok(Host::Dns(text.to_owned()))
}

impl fmt::Display for EnodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enode://{}", self.public_key)?;
        let Some((host, tcp, udp)) = &self.address else { return Ok(()) };
        match host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "@[{ip}]:{tcp}")?,
            Host::Ip(IpAddr::V4(ip)) => write!(f, "@{ip}:{tcp}")?,
            Host::Dns(name) => write!(f, "@{name}:{tcp}")?,
        }
        if udp == tcp { Ok(()) } else { write!(f, "?discport={udp}") }
    }
}

impl fmt::Display for Enode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EnodeUrl::from(*self).fmt(f)
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}
serde_as_text!(Enode);
serde_as_text!(EnodeUrl);
