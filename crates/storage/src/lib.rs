//! Storage engines for the slimta mail queue.
