//! The durable mail queue: library facade, edges, relays and policies.
