//! How fast a storage is, one measurement a line in JSON:
//!
//! ```text
//! cargo run --release -p slimta-storage --example storage-bench --all-features -- \
//!     URL [DEPTH]...
//! ```
//!
//! It needs an empty storage to itself, and leaves mail in it. First it stores
//! messages of 10 KiB from 1, 20 and 100 submitters, and lets them live their
//! whole life: stored under a lease, removed. Then, for each DEPTH, it fills the
//! storage with so many waiting messages (1 KiB of contents for ten; half of
//! them of a hundred destinations, half of one that does not answer) and times
//! what a server and an operator do beside such a backlog. `bench/storage` runs
//! it for every engine and makes a table of it.

mod backlog;
mod mail;
mod path;

use slimta_core::world::World;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("name the URL of an empty storage")?;
    let depths: Result<Vec<usize>, _> = arguments.map(|depth| depth.parse()).collect();
    let world = World::system();
    path::measure(&url, &world).await?;
    backlog::measure(&url, &depths?, &world).await
}
