//! The slimta server.
fn main() {}
