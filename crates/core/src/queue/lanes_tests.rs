//! Places and slots.

use super::super::backoff::Reached;
use super::*;
use crate::message::Priority;
use crate::world::World;
use futures_util::FutureExt;

const NOW: Duration = Duration::ZERO;

fn lanes() -> Arc<Lanes> {
    Lanes::new(&Limits {
        attempts_max: 4,
        attempts_per_destination_initial: 2,
        attempts_per_destination_max: 3.into(),
        ahead_factor: 2,
        ..Limits::default()
    })
}

fn to(name: &str) -> Destination {
    Destination::new(name)
}

/// Takes all places that somebody may have.
fn fill(lanes: &Arc<Lanes>, name: &str, whom: For) -> Vec<Place> {
    std::iter::from_fn(|| lanes.try_enter(&to(name), whom, NOW)).collect()
}

#[tokio::test]
async fn places_are_bounded_by_destination_and_overall() {
    let lanes = lanes();
    let fresh = For::Fresh(Priority::Normal);
    let a = fill(&lanes, "a", fresh);
    assert_eq!(a.len(), 4);
    let b = fill(&lanes, "b", fresh);
    assert_eq!(b.len(), 4);
    assert_eq!(lanes.room(&to("c"), fresh, NOW), 0);
    drop(a);
    assert_eq!(lanes.room(&to("a"), fresh, NOW), 4);
    lanes.freed().await;
}

#[tokio::test]
async fn a_full_lane_leaves_the_others_free() {
    let lanes = lanes();
    let a = lanes.enter(&to("a"), NOW);
    let _held = (
        a.slot(Priority::Normal, 0).await,
        a.slot(Priority::Normal, 0).await,
    );
    assert!(a.slot(Priority::Normal, 0).now_or_never().is_none());
    assert!(
        lanes
            .enter(&to("b"), NOW)
            .slot(Priority::Normal, 0)
            .now_or_never()
            .is_some()
    );
}

#[tokio::test]
async fn managers_share_the_limit_of_a_destination() {
    let lanes = lanes();
    let place = lanes.enter(&to("a"), NOW);
    for _ in 0..5 {
        place.finish(place.slot(Priority::Normal, 0).await, &Reached::Works, NOW);
    }
    lanes.share_with(3);
    place.finish(place.slot(Priority::Normal, 0).await, &Reached::Works, NOW);
    let _only = place.slot(Priority::Normal, 0).await;
    assert!(
        place.slot(Priority::Normal, 0).now_or_never().is_none(),
        "a third of three"
    );
    lanes.share_with(1);
    place.finish(
        place
            .slot(Priority::Normal, 0)
            .now_or_never()
            .unwrap_or(_only),
        &Reached::Works,
        NOW,
    );
}

#[tokio::test]
async fn slots_grow_with_success_and_shrink_with_failure() {
    let lanes = lanes();
    let place = lanes.enter(&to("a"), NOW);
    for _ in 0..5 {
        place.finish(place.slot(Priority::Normal, 0).await, &Reached::Works, NOW);
    }
    let slots = [
        place.slot(Priority::Normal, 0).await,
        place.slot(Priority::Normal, 0).await,
        place.slot(Priority::Normal, 0).await,
    ];
    assert!(
        place.slot(Priority::Normal, 0).now_or_never().is_none(),
        "never above the most"
    );
    for slot in slots {
        place.finish(slot, &Reached::Answers, NOW);
    }
    let _only = place.slot(Priority::Normal, 0).await;
    assert!(
        place.slot(Priority::Normal, 0).now_or_never().is_none(),
        "one is left"
    );
}

#[tokio::test]
async fn high_mail_has_one_before_it_at_most() {
    let lanes = lanes();
    let place = lanes.enter(&to("a"), NOW);
    let taken = [
        place.slot(Priority::Normal, 0).await,
        place.slot(Priority::Normal, 0).await,
    ];
    let mut waiting = [(); 3].map(|()| Box::pin(place.slot(Priority::Normal, 0)));
    for one in &mut waiting {
        assert!(one.now_or_never().is_none());
    }
    let mut high = Box::pin(place.slot(Priority::High, 0));
    assert!((&mut high).now_or_never().is_none());
    drop(taken);
    let high = high.now_or_never();
    assert!(high.is_some());
    let begun = waiting.iter_mut().filter_map(FutureExt::now_or_never);
    let begun: Vec<_> = begun.collect();
    assert_eq!(begun.len(), 1);
}

#[tokio::test]
async fn the_last_slots_are_for_high_mail() {
    let lanes = Lanes::new(&Limits {
        attempts_max: 10,
        ..Limits::default()
    });
    let places: Vec<_> = (0..3)
        .map(|n| lanes.enter(&to(&n.to_string()), NOW))
        .collect();
    let slots = places.iter().flat_map(|place| [place; 3]);
    let slots: Vec<_> = slots
        .filter_map(|place| place.slot(Priority::Normal, 0).now_or_never())
        .collect();
    assert_eq!(slots.len(), 9);
    let place = lanes.enter(&to("other"), NOW);
    assert!(place.slot(Priority::Normal, 0).now_or_never().is_none());
    let tenth = place.slot(Priority::High, 0).now_or_never();
    assert!(tenth.is_some());
    assert!(place.slot(Priority::High, 0).now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_place_needs_a_token_that_no_other_place_will_take() {
    let world = World::simulated(crate::world::Timestamp::EPOCH, 1);
    let lanes = Lanes::new(&Limits {
        rate_per_destination: Some("1/s".parse().unwrap()).into(),
        ..Limits::default()
    });
    let now = || world.monotonic();
    let room = || lanes.room(&to("a"), For::Due, now());
    assert_eq!(room(), 2);
    let first = lanes.enter(&to("a"), NOW);
    assert_eq!(room(), 1, "one is for the place that is taken");
    drop(lanes.enter(&to("a"), NOW));
    assert_eq!(room(), 1);
    first.turn(Priority::Normal, 0, &world).await.unwrap();
    assert_eq!(room(), 1);
    assert_eq!(lanes.rate_wait(&to("a"), now()), None);
    let began = now();
    for _ in 0..3 {
        // Who was let in nevertheless waits for the next.
        let place = lanes.enter(&to("a"), NOW);
        place.turn(Priority::Normal, 0, &world).await.unwrap();
    }
    assert_eq!(now() - began, Duration::from_secs(2));
    assert_eq!(room(), 0);
    let second = Duration::from_secs(1);
    assert_eq!(lanes.rate_wait(&to("a"), now()), Some(second));
    drop(first);
    let known: Vec<_> = lanes
        .in_hand(now())
        .into_iter()
        .map(|one| one.destination)
        .collect();
    assert_eq!(known, [to("a")], "while its bucket is not full");
}
