//! The way of an event's line to the log: through a bounded queue to one task, and from there to the disk on a thread
//! that may block.
//!
//! Lines that have to wait are written together. Whoever handed in a line may wait until it is written. What cannot be
//! written is lost, counted, and told once.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::file::{LogFile, Rotated, tidy};
use crate::clock::Clock;
use crate::config::{AuditConfig, AuditLog, Rotation};
use crate::telemetry::Metrics;

/// A line, and who wants to know whether it was written.
pub(super) struct Entry {
    pub(super) line: Vec<u8>,
    pub(super) written: Option<oneshot::Sender<bool>>,
}

/// Writes what comes through the queue.
pub struct Writer {
    entries: mpsc::Receiver<Entry>,
    log: Log,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Whether the last lines could not be written.
    is_failing: bool,
}

enum Log {
    Stdout,
    File(LogFile, Arc<Tidy>),
}

/// What is done about the files that were put aside, by one thread at a time.
struct Tidy {
    path: PathBuf,
    rotation: Rotation,
    turn: Mutex<()>,
}

/// So many lines are written together at most.
const TOGETHER: usize = 256;

impl Writer {
    /// Opens the log.
    pub(super) fn open(
        config: &AuditConfig,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(mpsc::Sender<Entry>, Self)> {
        let log = match &config.log {
            AuditLog::Stdout => Log::Stdout,
            AuditLog::File(path, rotation) => {
                let file = LogFile::open(path, rotation.max_bytes)
                    .with_context(|| format!("--audit-log-path: cannot open {}", path.display()))?;
                let tidy = Tidy { path: path.clone(), rotation: rotation.clone(), turn: Mutex::new(()) };
                Log::File(file, Arc::new(tidy))
            }
        };
        let (sender, entries) = mpsc::channel(config.buffer.get());
        Ok((sender, Self { entries, log, clock, metrics, is_failing: false }))
    }

    /// Writes until `stop`, and then what is still in the queue. Old files are tidied up by `tasks`.
    pub async fn run(mut self, tasks: TaskTracker, stop: CancellationToken) {
        self.tidy(&tasks);
        let mut batch = Vec::with_capacity(TOGETHER);
        loop {
            let count = tokio::select! {
                count = self.entries.recv_many(&mut batch, TOGETHER) => count,
                () = stop.cancelled(), if !self.entries.is_closed() => {
                    self.entries.close();
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            let entries = std::mem::replace(&mut batch, Vec::with_capacity(TOGETHER));
            let Some(back) = self.write(entries, &tasks).await else { return };
            self = back;
        }
    }

    /// None where a thread died, and the log with it.
    async fn write(self, entries: Vec<Entry>, tasks: &TaskTracker) -> Option<Self> {
        let Self { entries: queue, mut log, clock, metrics, mut is_failing } = self;
        let now = clock.now();
        let writing = tokio::task::spawn_blocking(move || {
            let outcome = log.write(&entries, now);
            (log, entries, outcome)
        });
        let Ok((log, entries, outcome)) = writing.await else {
            error!("the thread that writes audit events died; no more are written");
            return None;
        };
        let is_written = outcome.is_ok();
        let count = metrics.audit_events.with_label_values(&[if is_written { "written" } else { "lost" }]);
        count.inc_by(entries.len() as u64);
        if let (Err(error), false) = (&outcome, is_failing) {
            error!(%error, "audit events cannot be written and are lost");
        } else if is_written && is_failing {
            info!("audit events can be written again");
        }
        is_failing = !is_written;
        for written in entries.into_iter().filter_map(|entry| entry.written) {
            // Whoever has stopped waiting needs no answer.
            let _ = written.send(is_written);
        }
        let writer = Self { entries: queue, log, clock, metrics, is_failing };
        if matches!(outcome, Ok(Rotated::Yes)) {
            writer.tidy(tasks);
        }
        Some(writer)
    }

    fn tidy(&self, tasks: &TaskTracker) {
        let Log::File(_, tidying) = &self.log else { return };
        let (tidying, now) = (Arc::clone(tidying), self.clock.now());
        tasks.spawn_blocking(move || {
            let _turn = tidying.turn.lock();
            if let Err(error) = tidy(&tidying.path, &tidying.rotation, now) {
                warn!(%error, "old audit logs cannot be compressed or removed");
            }
        });
    }
}

impl Log {
    fn write(&mut self, entries: &[Entry], now: crate::model::units::UnixNanos) -> io::Result<Rotated> {
        let lines: Vec<&[u8]> = entries.iter().map(|entry| entry.line.as_slice()).collect();
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&lines.concat())?;
                stdout.flush()?;
                Ok(Rotated::No)
            }
            Self::File(file, _) => file.write(&lines, now),
        }
    }
}
