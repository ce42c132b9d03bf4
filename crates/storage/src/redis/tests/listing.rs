//! Pages that look only at what was asked for.

use slimta_core::message::{Destination, MessageId, StoredMessage};
use slimta_core::storage::{Action, Filter, Page};
use slimta_core::world::World;

use super::faults::{connect, some_mail, stored};
use super::server::Server;

#[tokio::test]
async fn a_listing_by_destination_looks_at_no_other_mail() {
    let server = Server::running();
    let (url, prefix) = server.queue_with_prefix();
    let session = connect(&url).await.unwrap();
    let world = World::system();
    // More than one page looks at.
    let mut others = some_mail(&world);
    let first = StoredMessage {
        destination: Destination::new("b.example"),
        ..others.messages.remove(0)
    };
    others.messages = vec![first.clone()];
    others.messages.extend((0..1000).map(|_| StoredMessage {
        id: MessageId::new(&world),
        ..first.clone()
    }));
    session.store(others, None).await.unwrap();
    let id = stored(&*session).await.unwrap();
    let filter = Filter {
        destination: Some(Destination::new("a.example")),
        ..Filter::default()
    };
    let page = Page::first(10);
    let listing = session.list(&filter, page).await.unwrap();
    let found: Vec<_> = listing.messages.iter().map(|l| l.message.id).collect();
    assert_eq!((found, listing.next), (vec![id], None));
    let acted = session.act(&filter, page, &Action::Delete).await.unwrap();
    assert_eq!(acted.changed, [id]);
    let key = format!("{{{prefix}:0}}:ids:a.example");
    assert_eq!(server.cli(&["EXISTS", &key]), "0");
}

#[tokio::test]
async fn rerouted_mail_leaves_nothing_where_it_went_before() {
    let server = Server::running();
    let (url, prefix) = server.queue_with_prefix();
    let session = connect(&url).await.unwrap();
    let id = stored(&*session).await.unwrap();
    let keys = |of: &str| server.cli(&["KEYS", &format!("{{{prefix}:0}}:*{of}")]);
    assert!(!keys("a.example").is_empty());
    let reroute = Action::Reroute("b.example".parse().unwrap(), session.now());
    let all = Filter::default();
    let acted = session.act(&all, Page::first(10), &reroute).await;
    assert_eq!(acted.unwrap().changed, [id]);
    assert_eq!(keys("a.example"), "");
    assert!(keys("b.example").contains(":ids:b.example"));
}
