//! What is logged, and how.

use clap::ValueEnum;

/// How the log is written.
#[derive(ValueEnum, serde::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One object a line.
    Json,
}

/// What is worth a line of log.
#[derive(ValueEnum, serde::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// Only what somebody must look at.
    Error,
    /// Also what somebody should know.
    Warn,
    /// Also what becomes of each message.
    Info,
    /// Also each attempt and connection.
    Debug,
    /// Everything.
    Trace,
}
