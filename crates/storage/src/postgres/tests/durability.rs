//! What a server must promise before mail is given to it.

use std::time::Duration;

use slimta_core::storage::{Session, Storage, StorageError};
use slimta_core::world::World;

use super::super::{Postgres, ask};
use super::server::{Server, Stop};

/// The longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn open(url: &str) -> Result<Postgres, StorageError> {
    let storage = Postgres::new(url, World::system())?;
    storage.connect().await?;
    Ok(storage)
}

/// What a setting is in the sessions of this storage.
async fn setting(storage: &Postgres, name: &str) -> String {
    let client = storage.0.client().await.unwrap();
    let asked = ask::row(&client, "SELECT current_setting($1)", &[&name]).await;
    asked.unwrap().unwrap().get(0)
}

#[tokio::test]
async fn a_server_that_can_lose_mail_is_refused_unless_that_is_accepted() {
    for name in ["fsync", "full_page_writes"] {
        let server = Server::with(&[&format!("{name}=off")]);
        let error = open(&server.url()).await.unwrap_err();
        assert!(matches!(error, StorageError::Open { .. }), "{error:?}");
        let told = error.to_string();
        for part in [
            &format!("postgres://127.0.0.1:{}/postgres", server.port()),
            &format!("{name} is off"),
            &format!("set {name} = on"),
            "allow_lossy=true",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let url = server.url();
        assert!(open(&format!("{url}?allow_lossy=false")).await.is_err());
        assert!(open(&format!("{url}?allow_lossy=true")).await.is_ok());
    }
}

#[tokio::test]
async fn commits_wait_for_the_disk_whatever_the_role_says() {
    let server = Server::with(&[]);
    let name = "synchronous_commit";
    for (of_the_role, ours) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        server.sql(&format!("ALTER ROLE slimta SET {name} = '{of_the_role}'"));
        let storage = open(&server.url()).await.unwrap();
        assert_eq!(setting(&storage, name).await, ours, "{of_the_role}");
        let lossy = open(&format!("{}?allow_lossy=true", server.url())).await;
        assert_eq!(setting(&lossy.unwrap(), name).await, of_the_role);
    }
}

/// It may have been set up anew while the manager runs.
#[tokio::test]
async fn a_server_that_comes_back_worse_gets_no_mail() {
    let server = Server::with(&[]);
    let storage = open(&server.url()).await.unwrap();
    let session = storage.connect().await.unwrap();
    server.sql("ALTER SYSTEM SET fsync = off");
    server.stop(Stop::Fast);
    // Its old connections are gone at any moment now.
    refused(&*session, "no connection to").await;
    server.start();
    refused(&*session, "fsync is off").await;
}

/// Calls until one is told this; none may succeed.
async fn refused(session: &dyn Session, why: &str) {
    let calling = async {
        while !session.stats().await.unwrap_err().to_string().contains(why) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let calling = tokio::time::timeout(PATIENCE, calling);
    calling.await.unwrap();
}
