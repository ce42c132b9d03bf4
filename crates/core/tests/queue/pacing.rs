//! How fast a destination takes mail of late, for an estimate of when its
//! backlog is gone.

use std::time::Duration;

use slimta_core::queue::Limits;

use crate::limits::{LIMITED, running, send_many, sixty_a_minute};
use crate::rig::{Answer, Rig};

const SECOND: Duration = Duration::from_secs(1);
const SLOW: &str = "slow.example";

/// One attempt at a time.
fn narrow() -> Limits {
    Limits {
        attempts_per_destination_max: 1.into(),
        ..Limits::default()
    }
}

fn per_hour(rig: &Rig, destination: &str) -> u64 {
    let all = rig.queue.destinations();
    let mut of_it = all.iter().filter(|d| d.destination.as_str() == destination);
    of_it.next().map_or(0, |one| one.per_hour)
}

#[tokio::test(start_paused = true)]
async fn a_pace_is_that_of_the_last_minutes() {
    let (rig, _stop) = running(narrow()).await;
    for _ in 0..400 {
        rig.relay.then(Answer::Slow(SECOND, vec![250]));
    }
    for _ in 0..400 {
        rig.relay.then(Answer::Slow(3 * SECOND, vec![250]));
    }
    send_many(&rig, SLOW, 800).await;
    assert_eq!(per_hour(&rig, SLOW), 0);
    tokio::time::sleep(60 * SECOND).await;
    let pace = per_hour(&rig, SLOW);
    assert!((3500..=3600).contains(&pace), "{pace}");
    tokio::time::sleep(640 * SECOND).await;
    let pace = per_hour(&rig, SLOW);
    assert!((1150..=1200).contains(&pace), "{pace}");
}

#[tokio::test(start_paused = true)]
async fn what_takes_nothing_has_no_pace() {
    let (rig, _stop) = running(narrow()).await;
    for _ in 0..100 {
        rig.relay.then(Answer::Slow(SECOND, vec![450]));
    }
    rig.relay.absent("absent.example");
    send_many(&rig, SLOW, 100).await;
    send_many(&rig, "absent.example", 100).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(per_hour(&rig, SLOW), 0);
    assert_eq!(per_hour(&rig, "absent.example"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pace_is_not_above_the_rate() {
    let (rig, _stop) = running(sixty_a_minute()).await;
    send_many(&rig, LIMITED, 200).await;
    // A token comes each second, and is taken at once.
    tokio::time::sleep(SECOND / 2).await;
    for _ in 0..60 {
        tokio::time::sleep(SECOND).await;
        let pace = per_hour(&rig, LIMITED);
        assert!((3400..=3600).contains(&pace), "{pace}");
    }
}
