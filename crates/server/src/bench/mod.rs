//! The parts of `slimta bench`: numbered messages, the sessions that send
//! them, the marks of when each was where, and the report.

pub(crate) mod drive;
pub(crate) mod report;
pub(crate) mod stamp;
pub(crate) mod tally;
