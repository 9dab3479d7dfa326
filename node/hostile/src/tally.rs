//! How the node got rid of its attackers.

use std::{fmt, time::Duration};

use rlpx::DisconnectReason;

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The node closed it without a word.
    Closed,
    /// The node said Disconnect.
    Told(DisconnectReason),
    /// It could not be opened, or this side failed.
    Failed,
    /// It was open when the attack was over.
    Held,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Told(reason) => write!(f, "told {reason}"),
            Self::Failed => f.write_str("failed"),
            Self::Held => f.write_str("held"),
        }
    }
}

/// Sockets of one way that ended alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// What these attackers did, of [`crate::Kind::ways`].
    pub way: &'static str,
    /// How they ended.
    pub end: End,
    /// How many.
    pub sockets: u64,
    /// The longest life among them.
    pub longest: Duration,
}

/// All sockets of an attack.
#[derive(Debug, Clone, Default)]
pub struct Tally(Vec<Ended>);

impl Tally {
    pub(crate) fn add(&mut self, way: &'static str, end: End, life: Duration) {
        match self.0.iter_mut().find(|ended| ended.way == way && ended.end == end) {
            Some(ended) => {
                ended.sockets += 1;
                ended.longest = ended.longest.max(life);
            }
            None => self.0.push(Ended { way, end, sockets: 1, longest: life }),
        }
    }

    /// Each way and end that there was.
    pub fn all(&self) -> impl Iterator<Item = &Ended> {
        self.0.iter()
    }

    /// The sockets of `way` that ended so, 0 if none did.
    #[must_use]
    pub fn count(&self, way: &str, end: End) -> u64 {
        self.0.iter().filter(|ended| ended.way == way && ended.end == end).map(|ended| ended.sockets).sum()
    }

    /// The longest life of a socket of `way` that the node ended.
    #[must_use]
    pub fn longest(&self, way: &str) -> Duration {
        let lives = self.0.iter().filter(|ended| ended.way == way && ended.end != End::Held);
        lives.map(|ended| ended.longest).max().unwrap_or_default()
    }

    /// The ends of `way` that are none of `allowed`, for a test to say.
    #[must_use]
    pub fn others(&self, way: &str, allowed: &[End]) -> Vec<Ended> {
        self.0.iter().filter(|ended| ended.way == way && !allowed.contains(&ended.end)).copied().collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Ended { way, end, sockets, longest }) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "; " };
            write!(f, "{comma}{way}: {sockets} {end} after at most {:.1} s", longest.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_way() {
        let mut tally = Tally::default();
        for seconds in [1, 3, 2] {
            tally.add("a", End::Closed, Duration::from_secs(seconds));
        }
        tally.add("a", End::Held, Duration::from_secs(9));
        tally.add("b", End::Told(DisconnectReason::UselessPeer), Duration::ZERO);
        assert_eq!((tally.count("a", End::Closed), tally.count("b", End::Closed)), (3, 0));
        assert_eq!(tally.longest("a"), Duration::from_secs(3), "what was held the node did not end");
        assert_eq!(tally.others("a", &[End::Closed, End::Held]), []);
        assert_eq!(tally.others("b", &[End::Closed])[0].sockets, 1);
    }
}
