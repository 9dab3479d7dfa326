//! JSON-RPC over a Unix socket: every module, subscriptions, no token, since only this user can open the socket.
//! Facts: `spec/operations.md` §2.1, §1.1 (`-ipcfile`).

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use json_rpc::{Received, Splitter};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::{self, Incoming, MAX_REQUEST_BYTES, Outgoing},
    dispatch::{Authorized, Rpc},
};
use crate::exit::ExitError;

/// Connections served at once; more wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 64;
const BACKLOG: i32 = 64;
/// Bytes of one read.
const READ_BYTES: usize = 16 * 1024;
/// Longest time that answers under way get when the node stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the kernel refused a connection (out of file descriptors), lest the loop spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket. Its file is removed when dropped.
pub(crate) struct IpcListener {
    listener: UnixListener,
    file: SocketFile,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing depends on it: the next start finds a stale socket and removes it.
        let _ = fs::remove_file(&self.0);
    }
}

impl IpcListener {
    /// Binds `path` for this user alone. A socket that a dead process left there is replaced.
    ///
    /// # Errors
    /// [`ExitError::File`]: the path is no socket, in use, too long, or not to be written to.
    pub(crate) fn bind(path: &Path) -> Result<Self, ExitError> {
        let failed = |source, remedy| ExitError::File {
            setting: "IPCFile",
            action: "listen on",
            path: path.to_owned(),
            source,
            remedy,
        };
        remove_stale(path)
            .map_err(|source| failed(source, "stop the program that has it, or give another path"))?;
        let listener = listen(path).map_err(|source| {
            failed(source, "give a path of at most 107 bytes in a directory that this user may write to")
        })?;
        Ok(Self { listener, file: SocketFile(path.to_owned()) })
    }

    /// Where it is bound.
    pub(crate) fn path(&self) -> &Path {
        &self.file.0
    }

    /// Serves until `stop`, then lets answers under way finish, for a bounded time.
    pub(crate) async fn serve(self, rpc: Rpc, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let accept = async {
                // The semaphore is never closed; a refusal would end the server.
                let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
                Some((slot, self.listener.accept().await))
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept => accepted,
            };
            let Some((slot, accepted)) = accepted else { break };
            match accepted {
                Ok((stream, _)) => {
                    let (rpc, stop) = (rpc.clone(), stop.clone());
                    connections.spawn(async move {
                        let _slot = slot;
                        serve_one(rpc, stream, stop).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an IPC connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        connections.close();
        if timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
            tracing::warn!("IPC answers under way were cut off");
        }
    }
}

/// Removes a socket that nobody listens on. Anything else that is there stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(io::Error::new(ErrorKind::AlreadyExists, "something that is no socket is there"))
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
            Ok(_) => Err(ErrorKind::AddrInUse.into()),
        },
    }
}

/// Restricted before it listens: nobody can connect in between.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into())
}

async fn serve_one(rpc: Rpc, stream: UnixStream, stop: CancellationToken) {
    let (read, write) = stream.into_split();
    let values = Values { read, splitter: Splitter::new(MAX_REQUEST_BYTES), piece: vec![0; READ_BYTES] };
    connection::serve(rpc, || Authorized(true), values, Lines(write), stop).await;
}

struct Values {
    read: OwnedReadHalf,
    splitter: Splitter,
    piece: Vec<u8>,
}

impl Incoming for Values {
    async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some(received) = self.splitter.next_value() {
                return Some(received);
            }
            match self.read.read(&mut self.piece).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.splitter.push(self.piece.get(..length).unwrap_or_default()),
            }
        }
    }
}

struct Lines(OwnedWriteHalf);

impl Outgoing for Lines {
    async fn send(&mut self, mut text: String) -> io::Result<()> {
        text.push('\n');
        self.0.write_all(text.as_bytes()).await
    }

    async fn keep_alive(&mut self) -> io::Result<()> {
        // The kernel tells when the other process is gone.
        Ok(())
    }

    async fn close(&mut self) {
        // The client may be gone already.
        let _ = self.0.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_the_listener() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("geth.ipc");
        let listener = IpcListener::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("geth.ipc");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind as by a killed process");
        let listener = IpcListener::bind(&path).unwrap();
        let error = IpcListener::bind(&path).err().unwrap().to_string();
        assert!(
            error.starts_with("IPCFile: cannot listen on ") && error.contains("stop the program"),
            "{error}"
        );
        assert!(path.exists());
        drop(listener);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(IpcListener::bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
        let long = root.path().join("x".repeat(120));
        let error = IpcListener::bind(&long).err().unwrap().to_string();
        assert!(error.contains("107 bytes"), "{error}");
    }
}
