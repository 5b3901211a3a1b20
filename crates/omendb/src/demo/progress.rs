//! How far the loading is: a bar that redraws itself on a terminal, a few plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Cells of the bar.
const WIDTH: usize = 32;
/// Plain lines written in all, where nobody can redraw.
const PLAIN_LINES: usize = 4;

/// The progress of one piece of work.
pub(super) struct Progress<W> {
    out: W,
    is_terminal: bool,
    total: usize,
    /// Plain lines written so far.
    lines: usize,
}

impl Progress<io::Stderr> {
    /// Progress towards `total` points, on standard error.
    pub(super) fn on_stderr(total: usize) -> Self {
        let out = io::stderr();
        let is_terminal = out.is_terminal();
        Self::new(out, is_terminal, total)
    }
}

impl<W: Write> Progress<W> {
    fn new(out: W, is_terminal: bool, total: usize) -> Self {
        Self {
            out,
            is_terminal,
            total: total.max(1),
            lines: 0,
        }
    }

    /// Shows that `done` points are loaded after `elapsed`.
    ///
    /// # Errors
    /// When the terminal has gone away.
    pub(super) fn show(&mut self, done: usize, elapsed: Duration) -> io::Result<()> {
        let Self { total, .. } = *self;
        let rate = done as f64 / elapsed.as_secs_f64().max(1e-3);
        if self.is_terminal {
            let cells = done * WIDTH / total;
            let bar = format!("{}{}", "█".repeat(cells), "░".repeat(WIDTH - cells));
            write!(
                self.out,
                "\rloading {bar} {done} of {total} points, {rate:.0} points/s "
            )?;
            if done >= total {
                writeln!(self.out)?;
            }
            return self.out.flush();
        }
        while self.lines < done * PLAIN_LINES / total {
            self.lines += 1;
            let percent = self.lines * 100 / PLAIN_LINES;
            writeln!(
                self.out,
                "loading: {percent} % of {total} points, {rate:.0} points/s"
            )?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written while 1,000 points are loaded in steps of 250.
    fn shown(is_terminal: bool) -> String {
        let mut progress = Progress::new(Vec::new(), is_terminal, 1000);
        for done in [0, 250, 500, 750, 1000] {
            progress
                .show(done, Duration::from_millis(done as u64))
                .expect("a buffer does not fail");
        }
        String::from_utf8(progress.out).expect("text")
    }

    #[test]
    fn a_terminal_sees_one_line_that_fills_up() {
        let shown = shown(true);
        assert_eq!(shown.matches('\n').count(), 1, "{shown}");
        assert!(
            shown.ends_with("████ 1000 of 1000 points, 1000 points/s \n"),
            "{shown}"
        );
        assert!(shown.starts_with("\rloading ░░░░"), "{shown}");
    }

    #[test]
    fn a_file_gets_a_few_plain_lines() {
        let shown = shown(false);
        assert!(!shown.contains('\r'), "{shown}");
        assert_eq!(shown.lines().count(), PLAIN_LINES, "{shown}");
        assert!(
            shown.ends_with("loading: 100 % of 1000 points, 1000 points/s\n"),
            "{shown}"
        );
    }
}
