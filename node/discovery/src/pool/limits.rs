//! How many peers of a topic are wanted. Facts: `spec/devp2p.md` §4.1, §4.2.

/// The topic of general relay nodes (`spec/devp2p.md` §5.3).
pub const WHISPER: &str = "whisper";
/// The topic of mailservers (`spec/devp2p.md` §5.3).
pub const WHISPERMAIL: &str = "whispermail";

/// Most peers that may be wanted of one topic: bounds what the pool holds of it.
pub const MAX_WANTED: usize = 1000;

/// The numbers do not fit together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitsError {
    /// More wanted at least than at most.
    #[error("min {min} is greater than max {max}")]
    MinOverMax {
        /// What was given.
        min: usize,
        /// What was given.
        max: usize,
    },
    /// More than [`MAX_WANTED`].
    #[error("max {0} is greater than {MAX_WANTED}")]
    TooMany(usize),
}

/// Peers of a topic: searched fast below `min`, none added from `max` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl Limits {
    /// What the reference uses for relay nodes.
    pub const WHISPER: Self = Self { min: 2, max: 2 };
    /// What the reference uses for mailservers.
    pub const WHISPERMAIL: Self = Self { min: 3, max: 3 };

    /// `min` to `max` peers, at most [`MAX_WANTED`].
    ///
    /// # Errors
    /// When `min` is over `max`, or `max` over the cap.
    pub fn new(min: usize, max: usize) -> Result<Self, LimitsError> {
        if min > max {
            return Err(LimitsError::MinOverMax { min, max });
        }
        if max > MAX_WANTED {
            return Err(LimitsError::TooMany(max));
        }
        Ok(Self { min, max })
    }

    /// One less of each: a mailserver was verified (§4.5).
    pub(super) fn less_one(self) -> Self {
        Self { min: self.min.saturating_sub(1), max: self.max.saturating_sub(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/devp2p.md` §4.2: the default limits; §4.3: an error if max < min.
    #[test]
    fn section_4_2_limits() {
        assert_eq!(Limits::new(2, 2), Ok(Limits::WHISPER));
        assert_eq!(Limits::new(3, 3), Ok(Limits::WHISPERMAIL));
        assert_eq!(Limits::new(3, 2), Err(LimitsError::MinOverMax { min: 3, max: 2 }));
        assert_eq!(Limits::new(0, 1001), Err(LimitsError::TooMany(1001)));
        assert_eq!(Limits::new(0, 0).unwrap().less_one(), Limits { min: 0, max: 0 });
    }
}
