//! Names in enode URLs. Facts: `spec/devp2p.md` §1.3.

use std::{io, time::Duration};

use enode::{Enode, EnodeUrl};
use tokio::time::timeout;

use crate::Error;

/// The node at the first address of its name, looked up anew each time: in a cluster it changes. One with an IP address
/// is what it is.
///
/// # Errors
/// [`Error::NoAddress`]; [`Error::Timeout`] after `patience`; [`Error::Io`] when the name has no address.
pub async fn resolve(url: &EnodeUrl, patience: Duration) -> Result<Enode, Error> {
    let Some(name) = url.dns_name() else {
        return url.clone().try_into().map_err(|_| Error::NoAddress);
    };
    let lookup = timeout(patience, tokio::net::lookup_host((name, 0)));
    let mut found =
        lookup.await.map_err(|_| Error::Timeout("name resolution"))?.map_err(Error::io("name resolution"))?;
    let first = found.next().ok_or_else(|| Error::Io {
        during: "name resolution",
        source: io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
    })?;
    Ok(url.with_ip(first.ip()))
}
