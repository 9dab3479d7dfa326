//! What the work costs without a node: the bytes' encryption and digests, and a bare TCP fan-out of the same packets.
//!
//! One thread reads each packet from one socket and writes it to many, as the least that any relay must do; the CPU is
//! that thread's alone. Packets are as long as a Waku packet of the same envelopes is in its RLPx frame.

use std::{
    fmt, fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use aes::{
    Aes256,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use clap::Args;
use serde::Serialize;

use super::{Failure, load::Shape, meter::per, print};

/// Header with its MAC, and the MAC of the body (`spec/devp2p.md` §2.4).
const FRAME: u32 = 48;
/// What an envelope has around its data, about (`spec/waku-mailserver.md` §2.1).
const ENVELOPE: u32 = 24;
/// Bytes that each primitive is measured on.
const SAMPLE: usize = 16 << 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) load: Load,
    /// Print one JSON line instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

/// The packets, as `relay` sends them.
#[derive(Debug, Clone, Args)]
pub(super) struct Load {
    /// Sockets that each packet goes to.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) peers: u32,
    /// Envelopes a second; 0: as fast as they go.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(super) rate: u32,
    /// Envelopes in all.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) count: u32,
    #[command(flatten)]
    pub(super) shape: Shape,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    packet_bytes: u32,
    keccak_nanoseconds_per_byte: f64,
    keccak_permutation_nanoseconds: f64,
    aes_nanoseconds_per_byte: f64,
    /// CPU of the bare fan-out for each packet written.
    tcp_microseconds_per_packet: f64,
    /// The same and what a frame's encryption and MAC cost.
    pub(super) microseconds_per_packet: f64,
    pub(super) microseconds_per_delivery: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Keccak {:.2} ns a byte, {:.0} ns a permutation; AES-256-CTR {:.2} ns a byte",
            self.keccak_nanoseconds_per_byte,
            self.keccak_permutation_nanoseconds,
            self.aes_nanoseconds_per_byte
        )?;
        writeln!(
            f,
            "bare TCP fan-out of {} bytes: {:.2} µs a packet",
            self.packet_bytes, self.tcp_microseconds_per_packet
        )?;
        write!(
            f,
            "floor: {:.2} µs a packet written, {:.2} µs a delivery",
            self.microseconds_per_packet, self.microseconds_per_delivery
        )
    }
}

pub(super) fn command(arguments: &Arguments) -> Result<(), Failure> {
    let report = run(&arguments.load)?;
    if arguments.json {
        return print(&report);
    }
    println!("{report}");
    Ok(())
}

pub(super) fn run(load: &Load) -> Result<Report, Failure> {
    let envelopes = load.shape.per_packet.min(load.count);
    let packet_bytes = FRAME + envelopes * (load.shape.size + ENVELOPE);
    let packets = load.count.div_ceil(envelopes);
    let period = if load.rate == 0 { 0.0 } else { f64::from(envelopes) / f64::from(load.rate) };
    let failed = |error: std::io::Error| Failure::Local(format!("the floor cannot be measured: {error}"));
    let cpu = fan_out(packet_bytes, packets, load.peers, Duration::from_secs_f64(period)).map_err(failed)?;
    let written = u64::from(packets) * u64::from(load.peers);
    let tcp = per(cpu, written);
    let keccak = keccak_per_byte().map_err(failed)?;
    let permutation = keccak_permutation().map_err(failed)?;
    let aes = aes_per_byte().map_err(failed)?;
    let crypto = (f64::from(packet_bytes) * (keccak + aes) + 3.0 * permutation) / 1000.0;
    Ok(Report {
        packet_bytes,
        keccak_nanoseconds_per_byte: keccak,
        keccak_permutation_nanoseconds: permutation,
        aes_nanoseconds_per_byte: aes,
        tcp_microseconds_per_packet: tcp,
        microseconds_per_packet: tcp + crypto,
        microseconds_per_delivery: (tcp + crypto) / f64::from(envelopes),
    })
}

/// CPU of the thread that reads each of `packets` packets and writes it to `peers` sockets.
fn fan_out(bytes: u32, packets: u32, peers: u32, period: Duration) -> std::io::Result<Duration> {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let connect = || -> std::io::Result<(TcpStream, TcpStream)> {
        let near = TcpStream::connect(address)?;
        let (far, _) = listener.accept()?;
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
        }
        Ok((near, far))
    };
    let (mut sender, mut from) = connect()?;
    let mut to = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..peers {
        let (mut near, far) = connect()?;
        to.push(far);
        readers.push(thread::spawn(move || -> std::io::Result<()> {
            let mut buffer = vec![0; 64 << 10];
            while near.read(&mut buffer)? > 0 {}
            Ok(())
        }));
    }
    let relay = thread::spawn(move || -> std::io::Result<Duration> {
        let mut packet = vec![0; length];
        let before = own_cpu()?;
        for _ in 0..packets {
            from.read_exact(&mut packet)?;
            for peer in &mut to {
                peer.write_all(&packet)?;
            }
        }
        Ok(own_cpu()?.saturating_sub(before))
    });
    let packet = vec![0xab; length];
    let begun = Instant::now();
    for n in 0..packets {
        // A rate, not a condition.
        thread::sleep((begun + period * n).saturating_duration_since(Instant::now()));
        sender.write_all(&packet)?;
    }
    drop(sender);
    let panicked = |_| std::io::Error::other("a thread panicked");
    let cpu = relay.join().map_err(panicked)?;
    for reader in readers {
        reader.join().map_err(panicked)??;
    }
    cpu
}

/// CPU time of this thread.
fn own_cpu() -> std::io::Result<Duration> {
    // The account is brought up to date when the thread goes through the scheduler, else only with the next tick.
    thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().and_then(|n| n.parse().ok());
    first
        .map(Duration::from_nanos)
        .ok_or_else(|| std::io::Error::other("no CPU time in /proc/thread-self/schedstat"))
}

/// CPU nanoseconds a byte of the best of five.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn best_per_byte(bytes: usize, mut work: impl FnMut()) -> std::io::Result<f64> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let before = own_cpu()?;
        work();
        best = best.min(own_cpu()?.saturating_sub(before));
    }
    Ok(best.as_secs_f64() * 1e9 / bytes as f64)
}

fn keccak_per_byte() -> std::io::Result<f64> {
    let data = vec![0xab; SAMPLE];
    best_per_byte(SAMPLE, || {
        std::hint::black_box(enode::keccak256(std::hint::black_box(&data)));
    })
}

fn keccak_permutation() -> std::io::Result<f64> {
    const TIMES: usize = 10_000;
    best_per_byte(TIMES, || {
        for _ in 0..TIMES {
            std::hint::black_box(enode::keccak256(std::hint::black_box(&[0xab; 32])));
        }
    })
}

fn aes_per_byte() -> std::io::Result<f64> {
    let mut data = vec![0xab; SAMPLE];
    let mut cipher = ctr::Ctr128BE::<Aes256>::new(&[1; 32].into(), &[2; 16].into());
    best_per_byte(SAMPLE, || cipher.apply_keystream(std::hint::black_box(&mut data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fan_out_writes_every_packet_to_every_socket() {
        let cpu = fan_out(400, 50, 4, Duration::ZERO).unwrap();
        assert!(cpu > Duration::ZERO && cpu < Duration::from_secs(10), "{cpu:?}");
    }
}
