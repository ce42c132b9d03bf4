//! Mail of several tenants.

use crate::rig::{Client, KeepingSink, Store, run, stderr, text};

/// Sends a message whose header names a tenant.
fn send_of(server: std::net::SocketAddr, tenant: &str, to: &str) {
    let content = format!("X-Tenant: {tenant}\nSubject: for {tenant}\n\nHello.");
    let mut client = Client::connect(server).unwrap();
    client.send("sender@from.example", &[to], &content).unwrap();
}

#[test]
fn a_field_names_the_tenant_and_goes_no_further() {
    let (store, sink) = (Store::new(), KeepingSink::start());
    let server = store.serve(&["--relay", "none", "--tenant", "field:X-Tenant"]);
    send_of(server.address, "Acme", "b@to.example");
    let list = store.list();
    assert_eq!(text(&list[0], "destination"), "to.example#acme");
    let listed = store.queue_ok(&["list", "--destination", "To.Example#Acme", "--json"]);
    assert_eq!(listed.lines().count(), 1);
    let refused = store.queue(&["list", "--destination", "*.example"]);
    assert!(stderr(&refused).contains("names one destination"));
    let shown = store.queue_ok(&["destinations"]);
    let line = shown.lines().find(|line| line.ends_with("to.example#acme"));
    assert!(line.is_some_and(|line| line.contains("  -  ")), "{shown}");
    server.stop();

    // A rule for a destination is for whosever mail.
    let config = store.path().with_extension("toml");
    let relay = sink.url();
    std::fs::write(
        &config,
        format!("[destination.'to.example']\nrelay = '{relay}'\n"),
    )
    .unwrap();
    let config = config.display().to_string();
    let nowhere = "smtp://127.0.0.1:9";
    let _server = store.serve(&["--relay", nowhere, "--config", &config]);
    store.until_empty();
    let messages = sink.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("Subject: for Acme"), "{}", messages[0]);
    assert!(!messages[0].contains("X-Tenant"), "{}", messages[0]);
}

#[test]
fn a_tenant_without_sense_is_refused_with_what_is_allowed() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let path = config.display().to_string();
    for (lines, allowed) in [
        ("tenant = 'sender'", "sender-domain, or field:"),
        ("[tenants.acme]\nweight = 0", "above zero"),
        ("[tenants.acme]\nweight = 5000", "from 1 to 1000"),
        ("[tenants.'a b']\nweight = 5", "names no tenant"),
        (
            "[destination.'example.org#acme']\nattempts-max = 5",
            "without a tenant",
        ),
    ] {
        std::fs::write(&config, format!("{lines}\n")).unwrap();
        let said = run(&["serve", "--relay", "none", "--config", &path]);
        assert_eq!(said.status.code(), Some(78), "{lines}");
        let why = stderr(&said);
        assert!(
            why.contains(&path) && why.contains(allowed),
            "{lines}: {why}"
        );
    }
}
