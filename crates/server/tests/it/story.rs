//! The story of a message: what its attempts came to, over restarts.

use serde_json::{Value, json};

use crate::rig::{NextHop, Server, Store, send, text, until};

/// Waits until a message has failed so often.
fn fails(store: &Store, times: u64) -> Value {
    until("as many failures", || match store.list().as_slice() {
        [one] if one["attempts"] == times && one["state"] == "deferred" => Some(one.clone()),
        _ => None,
    })
}

fn story(store: &Store, id: &str) -> Value {
    serde_json::from_str(&store.queue_ok(&["explain", id, "--json"])).unwrap()
}

#[test]
fn every_attempt_is_told_and_survives_a_restart() {
    let hop = NextHop::answering(&["^rcpt@=450x1 4.2.0 Greylisted", "^rcpt@=452 4.2.2 Full"]);
    let store = Store::new();
    let relay = hop.url();
    let serve = || -> Server {
        store.serve(&[
            "--relay",
            &relay,
            "--retry",
            "1h..;until=2d",
            "--heed-replies",
            "false",
        ])
    };
    let server = serve();
    let to = ["rcpt@to.example", "other@to.example"];
    let id = send(server.address, "a@from.example", &to);
    fails(&store, 1);
    server.kill();
    let server = serve();
    store.queue_ok(&["retry", &id]);
    fails(&store, 2);
    server.stop();

    // Nobody tries it now, but the story is there.
    let alone = story(&store, &id);
    assert_eq!(alone["earlier_attempts"], 0);
    let history = alone["history"].as_array().unwrap();
    let told = |key: &str| {
        history
            .iter()
            .map(|past| past[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(told("response"), ["450 4.2.0 Greylisted", "452 4.2.2 Full"]);
    assert_eq!(told("what"), ["tried", "tried"]);
    assert_eq!(told("recipients"), [2, 1]);
    assert_eq!(told("waiting"), [1, 1]);
    assert_eq!(told("remote"), [json!("127.0.0.1"), json!("127.0.0.1")]);
    assert!(text(&history[0], "at") < text(&history[1], "at"));
    assert!(alone["gives_up_at"].is_null(), "{alone}");

    let _server = serve();
    let now = story(&store, &id);
    assert_eq!(now["history"], alone["history"]);
    assert!(text(&now, "gives_up_at") > text(&now, "next_attempt_at"));
    let shown: Value = serde_json::from_str(&store.queue_ok(&["show", &id, "--json"])).unwrap();
    assert_eq!(shown["history"], alone["history"]);
    assert!(store.list()[0].get("history").is_none());
    let explained = store.queue_ok(&["explain", &id]);
    for part in [
        "  received from 127.0.0.1\n",
        "  tried (1 of 2 recipients wait): 127.0.0.1 said 450 4.2.0 Greylisted\n",
        "  tried: 127.0.0.1 said 452 4.2.2 Full\n",
        "\nnext           attempt at ",
        "; none after ",
        "\nnow            waits for its next attempt at ",
    ] {
        assert!(explained.contains(part), "no {part:?} in\n{explained}");
    }
}
