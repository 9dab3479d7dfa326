//! The endpoint proof as a table of states. Pure. Facts: `spec/devp2p.md` §6.5.
//!
//! Two deviations, both allowed there: who waits for the other side's proof is ready as soon as it answered the other's
//! ping, and not only after 500 ms; the state "unknown" is that the node is not remembered (`None`).

/// How far a node's proof of its endpoint has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// We heard of it and pinged it.
    VerifyInit,
    /// It pinged us; we answered and pinged it.
    VerifyWait,
    /// It answered; we give it time to see our endpoint proven too.
    RemoteVerifyWait,
    /// Proven: may query, is in the table.
    Known,
    /// Proven, and asked to prove it again.
    Contested,
    /// Proven once, does not answer; not in the table.
    Unresponsive,
}

/// What moves a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    /// It pinged us, and we answered.
    Ping,
    /// It answered our ping.
    Pong,
    /// It did not answer our ping in time.
    PingTimeout,
    /// The time for the other side's proof is over.
    WaitOver,
    /// It is to prove itself again: too many failed queries, a full bucket, or a long silence.
    Contest,
}

impl State {
    /// Whether queries from it are answered, and it can be asked.
    pub(crate) fn may_query(self) -> bool {
        matches!(self, Self::Known | Self::Contested | Self::Unresponsive)
    }

    /// The next state; `None` is unknown, before and after.
    pub(crate) fn next(state: Option<Self>, input: Input) -> Option<Self> {
        use Input::{Contest, Ping, PingTimeout, Pong, WaitOver};
        use State::{Contested, Known, RemoteVerifyWait, Unresponsive, VerifyInit, VerifyWait};
        match (state?, input) {
            (VerifyInit, Ping) => Some(VerifyWait),
            (VerifyInit, Pong) => Some(RemoteVerifyWait),
            (VerifyInit | VerifyWait, PingTimeout) => None,
            (VerifyWait, Pong) | (RemoteVerifyWait, Ping | WaitOver) => Some(Known),
            (Known, Contest) => Some(Contested),
            (Contested, Pong) | (Unresponsive, Ping | Pong) => Some(Known),
            (Contested, PingTimeout) => Some(Unresponsive),
            (same, _) => Some(same),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Input::*, State::*, *};

    /// `spec/devp2p.md` §6.5, row by row.
    #[test]
    fn section_6_5_states() {
        let inputs = [Ping, Pong, PingTimeout, WaitOver, Contest];
        for (state, may_query, next) in [
            (
                VerifyInit,
                false,
                [Some(VerifyWait), Some(RemoteVerifyWait), None, Some(VerifyInit), Some(VerifyInit)],
            ),
            (VerifyWait, false, [Some(VerifyWait), Some(Known), None, Some(VerifyWait), Some(VerifyWait)]),
            (
                RemoteVerifyWait,
                false,
                [
                    Some(Known),
                    Some(RemoteVerifyWait),
                    Some(RemoteVerifyWait),
                    Some(Known),
                    Some(RemoteVerifyWait),
                ],
            ),
            (Known, true, [Some(Known), Some(Known), Some(Known), Some(Known), Some(Contested)]),
            (
                Contested,
                true,
                [Some(Contested), Some(Known), Some(Unresponsive), Some(Contested), Some(Contested)],
            ),
            (
                Unresponsive,
                true,
                [Some(Known), Some(Known), Some(Unresponsive), Some(Unresponsive), Some(Unresponsive)],
            ),
        ] {
            assert_eq!(state.may_query(), may_query, "{state:?}");
            assert_eq!(inputs.map(|input| State::next(Some(state), input)), next, "{state:?}");
        }
        assert_eq!(inputs.map(|input| State::next(None, input)), [None; 5]);
    }
}
