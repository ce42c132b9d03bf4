//! Edges: where mail comes in.
//!
//! An edge takes messages from clients and asks the queue, over a bus, to keep
//! them. What the queue answers is what the client hears. An edge never touches
//! storage.

pub mod smtp;
