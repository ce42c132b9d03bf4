//! Certificates that end: operators hear of it while there is time to get others.

use std::sync::Arc;
use std::time::Duration;

use slimta::edge::smtp::Tls;
use slimta::world::{Timestamp, World};

use crate::reload::Reloader;

const DAY: Duration = Duration::from_secs(86_400);
/// How long before its end a certificate is told of. Those that are renewed by
/// themselves are new by then.
const AHEAD: Duration = Duration::from_secs(14 * 86_400);

/// The option and what may come of it, for each certificate that ends soon.
pub(crate) fn risks(tls: &Tls, now: Timestamp) -> Vec<(String, String)> {
    let over = tls.over_at(now.after(AHEAD));
    let told = over.iter().map(|file| {
        let file = file.display();
        let why = format!(
            "{file} is over within 14 days, or already: get another, which is read by itself"
        );
        ("tls-certificate".to_owned(), why)
    });
    told.collect()
}

/// Tells of them once a day.
pub(crate) async fn watch(reloader: Arc<Reloader>, world: World) {
    loop {
        world.sleep(DAY).await;
        let Some(tls) = reloader.running.lock().await.edge.tls.clone() else {
            continue;
        };
        let now = world.now();
        // It reads files. Why one cannot be opened is told where it changed.
        let looking = tokio::task::spawn_blocking(move || {
            let opened = tls.open();
            opened.map_or_else(|_| Vec::new(), |tls| risks(&tls, now))
        });
        for (option, why) in looking.await.unwrap_or_default() {
            tracing::warn!("{option}: {why}");
        }
    }
}
