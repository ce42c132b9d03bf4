use slimta_core::message::MessageId;
use slimta_core::storage::State;

use super::protocol::{Answer, Asked, VERSION};
use super::*;

fn request(line: &str) -> Result<Request, String> {
    let asked: Result<Asked, _> = serde_json::from_str(line);
    asked
        .map(|asked| asked.request)
        .map_err(|error| error.to_string())
}

#[test]
fn the_words_on_the_socket_are_the_documented_ones() {
    let id = MessageId::from_bytes([1; 16]);
    let which = Which {
        state: Some(StateName(State::Held)),
        ..Which::id(id)
    };
    let verb = Verb::Hold {
        reason: "why".to_owned(),
    };
    let asked = Asked {
        version: VERSION,
        request: Request::Act {
            which,
            verb,
            after: None,
        },
    };
    let line = r#"{"version":1,"request":{"act":{"which":{"id":"01010101-0101-0101-0101-010101010101","state":"held"},"verb":{"hold":{"reason":"why"}},"after":null}}}"#;
    assert_eq!(serde_json::to_string(&asked).unwrap(), line);
    assert_eq!(request(line).unwrap(), asked.request);
    let stats = r#"{"version":1,"request":"stats"}"#;
    assert_eq!(request(stats).unwrap(), Request::Stats);
    let contents = Answer::Contents { bytes: 7 };
    assert_eq!(
        serde_json::to_string(&contents).unwrap(),
        r#"{"contents":{"bytes":7}}"#
    );
    assert_eq!(
        serde_json::to_string(&Answer::Missing).unwrap(),
        r#""missing""#
    );
}

#[test]
fn a_request_that_is_wrong_anywhere_is_refused_whole() {
    for line in [
        "",
        "{}",
        r#"{"version":1,"request":"destroy"}"#,
        r#"{"version":1,"request":{"list":{"which":{"stat":"held"},"after":null}}}"#,
        r#"{"version":1,"request":{"list":{"which":{"state":"gone"},"after":null}}}"#,
        r#"{"version":1,"request":{"list":{"which":{"id":"../x"},"after":null}}}"#,
        r#"{"version":1,"request":"stats","extra":1}"#,
    ] {
        assert!(request(line).is_err(), "{line}");
    }
}
