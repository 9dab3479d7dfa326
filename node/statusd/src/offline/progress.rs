//! How far a long command is, on standard error: a line that is rewritten on a terminal, a line every ten seconds else.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Counts towards a total.
pub(super) struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    every: Duration,
    terminal: bool,
    said: Instant,
}

impl Progress {
    /// Counts `what`, of which there are `total` (0: not known).
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let terminal = io::stderr().is_terminal();
        let every = if terminal { Duration::from_millis(250) } else { Duration::from_secs(10) };
        Self { what, total, done: 0, every, terminal, said: Instant::now() }
    }

    /// So many more are done.
    pub(super) fn add(&mut self, count: u64) {
        self.done += count;
        if self.said.elapsed() >= self.every {
            self.said = Instant::now();
            let line = line(self.what, self.done, self.total);
            // Nobody to tell is no reason to stop.
            let _ = if self.terminal {
                write!(io::stderr(), "\r{line}\x1b[K")
            } else {
                writeln!(io::stderr(), "{line}")
            };
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    match (done * 100).checked_div(total) {
        Some(percent) => format!("{percent} %: {done} of {total} {what}"),
        None => format!("{done} {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_is_not_known_is_not_invented() {
        assert_eq!(line("rows", 50, 200), "25 %: 50 of 200 rows");
        assert_eq!(line("rows", 50, 0), "50 rows");
    }
}
