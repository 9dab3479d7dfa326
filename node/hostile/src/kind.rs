//! The attacks there are, and the ways of each.

use std::{fmt, pin::Pin, str::FromStr};

use crate::{
    End, Target, datagrams, frames, half_open, interest, peer::Life, slow, spam, trickle, unfinished,
};

/// One kind of attack. Its attackers differ in their ways, in turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sockets that say nothing, stop in the handshake, or never say Hello.
    HalfOpen,
    /// Handshakes and messages of a byte a second.
    Trickle,
    /// Big messages that lack their last byte.
    Unfinished,
    /// Sizes over the limits, Snappy blocks that lie about theirs or that unpack to a lot, frames of a wrong MAC.
    Frames,
    /// As many topics and filters as are allowed, more than that, and changes of them all the time.
    Interest,
    /// Envelopes without proof of work, of the far future and of other times.
    Spam,
    /// Peers that want everything and read nothing.
    SlowReaders,
    /// UDP: noise, and pings of ever new identities.
    Datagrams,
}

/// A socket's life.
type Socket<'a> = Pin<Box<dyn Future<Output = Life<End>> + Send + 'a>>;

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::HalfOpen,
        Self::Trickle,
        Self::Unfinished,
        Self::Frames,
        Self::Interest,
        Self::Spam,
        Self::SlowReaders,
        Self::Datagrams,
    ];

    /// Its name, as it is given on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HalfOpen => "half-open",
            Self::Trickle => "trickle",
            Self::Unfinished => "unfinished",
            Self::Frames => "frames",
            Self::Interest => "interest",
            Self::Spam => "spam",
            Self::SlowReaders => "slow-readers",
            Self::Datagrams => "datagrams",
        }
    }

    /// What the attackers of this kind do, in turns.
    #[must_use]
    pub fn ways(self) -> &'static [&'static str] {
        match self {
            Self::HalfOpen => half_open::WAYS,
            Self::Trickle => trickle::WAYS,
            Self::Unfinished => unfinished::WAYS,
            Self::Frames => frames::WAYS,
            Self::Interest => interest::WAYS,
            Self::Spam => spam::WAYS,
            Self::SlowReaders => slow::WAYS,
            Self::Datagrams => datagrams::WAYS,
        }
    }

    /// The way of an attacker by its number.
    pub(crate) fn way(self, number: u32) -> &'static str {
        let ways = self.ways();
        ways[number as usize % ways.len()]
    }

    /// One socket from its opening to its end, which the node decides.
    pub(crate) async fn live(self, number: u32, target: &Target) -> End {
        let way = self.way(number);
        let life: Socket<'_> = match self {
            Self::HalfOpen => Box::pin(half_open::live(way, target)),
            Self::Trickle => Box::pin(trickle::live(way, target)),
            Self::Unfinished => Box::pin(unfinished::live(way, target)),
            Self::Frames => Box::pin(frames::live(way, target)),
            Self::Interest => Box::pin(interest::live(way, number, target)),
            Self::Spam => Box::pin(spam::live(way, target)),
            Self::SlowReaders => Box::pin(slow::live(target)),
            Self::Datagrams => Box::pin(datagrams::live(way, number, target)),
        };
        life.await.unwrap_or_else(|end| end)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("want one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}
