//! Stopping: `spec/operations.md` §1.2 (S8).

use serde_json::json;

use crate::program::{SOON, Setup, http, until};

#[test]
fn ops_s8_sigterm_and_sigint_stop_cleanly_and_the_store_is_reusable() {
    let setup = Setup::default();
    for signal in ["-TERM", "-INT", "-TERM"] {
        let node = setup.start();
        assert_eq!(node.get("/readyz").0, 200);
        let (status, log) = node.stop(signal);
        assert_eq!(status.code(), Some(0), "{signal}: {log}");
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    }
}

#[test]
fn stopping_tells_the_service_manager() {
    let setup = Setup::default();
    let socket = setup.path("notify");
    let listener = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    listener.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let receive = || {
        let mut buffer = [0; 256];
        let read = listener.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..read]).trim().to_owned()
    };
    let mut command = setup.command();
    command.env("NOTIFY_SOCKET", &socket);
    let node = setup.start_as(command);
    assert_eq!(receive(), "READY=1");
    assert_eq!(node.stop("-TERM").0.code(), Some(0));
    assert_eq!(receive(), "STOPPING=1");
}

#[test]
fn an_idle_http_connection_does_not_hold_the_stop_up() {
    let setup = Setup::default();
    let node = setup.start();
    let _idle = std::net::TcpStream::connect(node.rpc).unwrap();
    let _half = {
        use std::io::Write as _;
        let mut stream = std::net::TcpStream::connect(node.rpc).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{").unwrap();
        stream
    };
    assert_eq!(http(node.rpc, "GET", "/", &[], b"").status, 200);
    let begin = std::time::Instant::now();
    assert_eq!(node.stop("-TERM").0.code(), Some(0));
    assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
    let again = setup.start();
    assert_eq!(again.rpc("net_listening", json!([])), true);
}

/// A second signal ends a stop that takes its time, here for a request that does not come to its end.
#[test]
fn a_second_signal_cuts_the_stop_short() {
    use std::io::{Read as _, Write as _};
    let node = Setup::default().start();
    let mut half = std::net::TcpStream::connect(node.rpc).unwrap();
    half.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n\r\n").unwrap();
    let mut going_on = [0; 12];
    half.read_exact(&mut going_on).unwrap();
    assert_eq!(&going_on, b"HTTP/1.1 100", "the node waits for the body");
    node.signal("-TERM");
    until("the stop begins", SOON, || node.log().contains("stopping").then_some(()));
    let (status, log) = node.stop("-INT");
    assert_eq!(status.code(), Some(15), "{log}");
    assert!(log.contains("cut off while stopping: SIGINT came again"), "{log}");
}
