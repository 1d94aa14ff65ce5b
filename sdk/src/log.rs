//! Lines in the gateway's log, with the names of plugin and tenant: [`error!`], [`warn!`], [`info!`], [`debug!`], [`trace!`].
//!
//! Of a message the gateway keeps the first 1,024 bytes, of a plugin 20 lines in a second; what is left out is counted. A
//! policy is asked at every scrape of every node: log what an operator has to know, not each decision. In native tests the
//! lines go to standard error and to [`testing::logged`](crate::testing::logged).
//!
//! [`error!`]: crate::error
//! [`warn!`]: crate::warn
//! [`info!`]: crate::info
//! [`debug!`]: crate::debug
//! [`trace!`]: crate::trace

use std::fmt;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// An operator must act.
    Error,
    /// Something is worse than it should be.
    Warn,
    /// Something changed.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Each single decision.
    Trace,
}

/// Writes one line; the macros are the usual way.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(message) => write_text(level, message),
        None => write_text(level, &message.to_string()),
    }
}

#[cfg(target_arch = "wasm32")]
fn write_text(level: Level, message: &str) {
    crate::guest::log(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write_text(level: Level, message: &str) {
    crate::testing::log(level, message);
}

/// Writes a line of level error to the gateway's log: `error!("no rate of {name}")`.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Error, ::std::format_args!($($message)+)) };
}

/// Writes a line of level warn to the gateway's log.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Warn, ::std::format_args!($($message)+)) };
}

/// Writes a line of level info to the gateway's log.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, ::std::format_args!($($message)+)) };
}

/// Writes a line of level debug to the gateway's log.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Debug, ::std::format_args!($($message)+)) };
}

/// Writes a line of level trace to the gateway's log.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Trace, ::std::format_args!($($message)+)) };
}
