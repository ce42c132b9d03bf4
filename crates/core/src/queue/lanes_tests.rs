//! Places and slots.

use super::*;
use futures_util::FutureExt;

const NOW: Duration = Duration::ZERO;

fn lanes() -> Arc<Lanes> {
    Lanes::new(&Limits {
        attempts_max: 4,
        attempts_per_destination_initial: 2,
        attempts_per_destination_max: 3,
        ahead_factor: 2,
        ..Limits::default()
    })
}

fn to(name: &str) -> Destination {
    Destination::new(name)
}

#[tokio::test]
async fn places_are_bounded_by_destination_and_overall() {
    let lanes = lanes();
    let a: Vec<_> = (0..9)
        .filter_map(|_| lanes.try_enter(&to("a"), NOW))
        .collect();
    assert_eq!(a.len(), 4);
    let b: Vec<_> = (0..9)
        .filter_map(|_| lanes.try_enter(&to("b"), NOW))
        .collect();
    assert_eq!(b.len(), 4);
    assert_eq!(lanes.room(&to("c"), NOW), 0);
    drop(a);
    assert_eq!(lanes.room(&to("a"), NOW), 4);
    lanes.freed().await;
}

#[tokio::test]
async fn a_full_lane_leaves_the_others_free() {
    let lanes = lanes();
    let a = lanes.enter(&to("a"));
    let _held = (a.slot(0).await, a.slot(0).await);
    assert!(a.slot(0).now_or_never().is_none());
    assert!(lanes.enter(&to("b")).slot(0).now_or_never().is_some());
}

#[tokio::test]
async fn managers_share_the_limit_of_a_destination() {
    let lanes = lanes();
    let place = lanes.enter(&to("a"));
    for _ in 0..5 {
        place.finish(place.slot(0).await, &Reached::Works, NOW);
    }
    lanes.share_with(3);
    place.finish(place.slot(0).await, &Reached::Works, NOW);
    let _only = place.slot(0).await;
    assert!(place.slot(0).now_or_never().is_none(), "a third of three");
    lanes.share_with(1);
    place.finish(
        place.slot(0).now_or_never().unwrap_or(_only),
        &Reached::Works,
        NOW,
    );
}

#[tokio::test]
async fn slots_grow_with_success_and_shrink_with_failure() {
    let lanes = lanes();
    let place = lanes.enter(&to("a"));
    for _ in 0..5 {
        place.finish(place.slot(0).await, &Reached::Works, NOW);
    }
    let slots = [
        place.slot(0).await,
        place.slot(0).await,
        place.slot(0).await,
    ];
    assert!(
        place.slot(0).now_or_never().is_none(),
        "never above the most"
    );
    for slot in slots {
        place.finish(slot, &Reached::Answers, NOW);
    }
    let _only = place.slot(0).await;
    assert!(place.slot(0).now_or_never().is_none(), "one is left");
}
