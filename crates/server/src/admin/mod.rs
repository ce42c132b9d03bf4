//! What operators can ask of a queue, and how they reach it: beside a running
//! server through its admin socket, or in the store itself when nobody has it
//! open.
//!
//! Both ways end at the same [`Desk`], so they cannot answer differently.

mod desk;
mod destinations;
mod door;
mod protocol;
mod socket;
mod story;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use desk::Desk;
pub(crate) use door::Door;
pub(crate) use protocol::{Ends, Listed, Part, Reloaded, Reply, Request, StateName, Verb, Which};
pub(crate) use socket::{AdminSocket, check_length, socket_path, understand_and_write};
pub(crate) use story::{PastView, StoryView};
pub(crate) use view::{DestinationView, MessageView, StatsView, SuspensionView};
