//! The terminal: how large it is, and that it is given back as it was.
//!
//! Plain ANSI sequences, which every terminal of the last decades knows: the other screen, a hidden cursor, and lines that
//! are overwritten from the top, so that nothing flickers.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::flush;
use super::view::Size;

/// Where nobody says how large a terminal is.
const USUAL: Size = Size { columns: 100, lines: 40 };

/// The screen, for as long as we draw on it.
pub(super) struct Screen(());

impl Screen {
    /// Takes the other screen, so that what stood there comes back.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub(super) fn take() -> Result<Self> {
        let screen = Self(());
        write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J")?;
        Ok(screen)
    }

    /// Draws lines in place of what is there.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub(super) fn draw(&mut self, lines: &str) -> Result<()> {
        // Each line takes away the rest of the one that was there, and the end all that is below.
        let lines = lines.trim_end_matches('\n').replace('\n', "\u{1b}[K\r\n");
        write(&format!("\u{1b}[H{lines}\u{1b}[K\u{1b}[J"))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = write("\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l");
        flush();
    }
}

fn write(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to the terminal")
}

/// Signals that tell us to end.
pub(super) struct Stop([Signal; 3]);

impl Stop {
    pub(super) fn listen() -> Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    pub(super) async fn told(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// How large the terminal is: as it says itself, as the environment says, or as usual.
pub(super) fn size() -> Size {
    // The terminal itself is asked each time, since windows are resized; by a program that is everywhere, since asking
    // the kernel takes code that is unsafe, or a library.
    let stty = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let text = stty.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok()).filter(|number| *number > 0);
    match (numbers.next(), numbers.next()) {
        (Some(lines), Some(columns)) => Size { columns, lines },
        _ => Size {
            columns: variable("COLUMNS").unwrap_or(USUAL.columns),
            lines: variable("LINES").unwrap_or(USUAL.lines),
        },
    }
}

fn variable(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok().filter(|number| (20..=1000).contains(number))
}
