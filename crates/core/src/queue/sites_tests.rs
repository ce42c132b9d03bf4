//! What destinations of one site share.

use super::super::limits::Limits;
use super::*;
use crate::message::{Priority, Report};
use futures_util::FutureExt;

const NOW: Duration = Duration::ZERO;

/// Two attempts at a time for a site, and four messages in memory.
fn lanes() -> Arc<Lanes> {
    Lanes::new(&Limits {
        attempts_per_site_max: 2,
        attempts_per_destination_initial: 2,
        attempts_per_destination_max: 2.into(),
        ahead_factor: 2,
        ..Limits::default()
    })
}

fn to(name: &str) -> Destination {
    Destination::new(name)
}

/// A place that was taken before anything was known of a site.
fn unknown(lanes: &Arc<Lanes>, name: &str) -> Place {
    lanes.enter(&to(name), NOW)
}

fn joins(place: &mut Place, name: &str, site: &str) -> bool {
    place.join(&to(name), Some(site.into()))
}

async fn slot(place: &Place) -> super::super::place::Slot {
    place.slot(Priority::Normal, 0).await
}

#[tokio::test]
async fn destinations_of_one_site_share_its_slots() {
    let lanes = lanes();
    let mut places: Vec<_> = ["a", "b", "c"].map(|name| unknown(&lanes, name)).into();
    for (place, name) in places.iter_mut().zip(["a", "b", "c"]) {
        assert!(joins(place, name, "mx"));
    }
    let first = slot(&places[0]).await;
    let _second = slot(&places[1]).await;
    assert!(slot(&places[2]).now_or_never().is_none());
    let mut other = unknown(&lanes, "other");
    assert!(joins(&mut other, "other", "elsewhere"));
    assert!(slot(&other).now_or_never().is_some());
    places[0].finish(first, &Reached::Works, NOW);
    assert!(slot(&places[2]).now_or_never().is_some());
}

#[test]
fn a_full_site_leases_nothing_more_and_others_do() {
    let lanes = lanes();
    let mut places = Vec::new();
    for number in 0..6 {
        let name = number.to_string();
        let mut place = unknown(&lanes, &name);
        assert_eq!(joins(&mut place, &name, "mx"), number < 4, "{number}");
        places.push(place);
    }
    for number in 0..6 {
        let destination = to(&number.to_string());
        assert_eq!(lanes.room(&destination, For::Due, NOW), 0);
        let (site, messages) = lanes.full_site(&destination, NOW).unwrap();
        assert_eq!((&*site, messages), ("mx", 4));
    }
    assert!(lanes.room(&to("other"), For::Due, NOW) > 0);
    // What is known counts from the lease on.
    drop(places);
    let _held: Vec<_> = (0..4).map(|n| unknown(&lanes, &n.to_string())).collect();
    assert_eq!(lanes.room(&to("5"), For::Due, NOW), 0);
}

#[tokio::test]
async fn a_site_that_is_not_there_is_left_alone_by_all_its_destinations() {
    let lanes = lanes();
    let absent = Reached::of(&Report::all(Response::transient(4, 1, "refused"), 1));
    for number in 0..5 {
        let name = number.to_string();
        let mut place = unknown(&lanes, &name);
        assert!(joins(&mut place, &name, "mx"));
        let news = place.finish(slot(&place).await, &absent, NOW);
        assert_eq!(news.is_some(), number == 4, "{number}");
    }
    for number in 0..5 {
        assert!(lanes.pause(&to(&number.to_string()), NOW).is_some());
    }
    assert!(lanes.pause(&to("other"), NOW).is_none());
    let look = lanes.look(&to("0"), NOW);
    assert_eq!((look.failures, look.pause.is_some()), (5, true));
    // One probe at a time, and it ends the pause for all.
    let later = Duration::from_secs(60);
    let mut places: Vec<_> = ["0", "1"].map(|name| lanes.enter(&to(name), later)).into();
    assert!(places.iter_mut().all(|place| place.site.is_some()));
    let probe = slot(&places[0]).await;
    assert!(slot(&places[1]).now_or_never().is_none());
    let news = places[0].finish(probe, &Reached::Works, later);
    assert_eq!(news, Some(News::Resumes));
    assert!(lanes.pause(&to("1"), later).is_none());
}

#[test]
fn a_destination_may_leave_its_site() {
    let lanes = lanes();
    let mut place = unknown(&lanes, "a");
    assert!(joins(&mut place, "a", "mx"));
    assert!(place.join(&to("a"), None));
    let map = lanes.map();
    assert!(map.sites.name("a").is_none() && map.sites.lanes.is_empty());
    drop(map);
    assert!(joins(&mut place, "a", "new"));
    drop(place);
    assert!(lanes.map().sites.lanes.is_empty());
}

#[test]
fn a_destination_that_may_have_more_brings_it_along() {
    let limits = Limits {
        attempts_per_site_max: 2,
        attempts_per_destination_max: 50.into(),
        ..Limits::default()
    };
    let lanes = Lanes::new(&limits);
    let mut place = unknown(&lanes, "a");
    assert!(joins(&mut place, "a", "mx"));
    assert_eq!(lanes.map().sites.lane("a").unwrap().allowed, 50);
}

#[tokio::test]
async fn another_limit_holds_for_a_site_that_is_at_work() {
    let limits = |attempts_per_site_max| Limits {
        attempts_per_site_max,
        attempts_per_destination_max: 1.into(),
        ..Limits::default()
    };
    let lanes = Lanes::new(&limits(4));
    let adopt = |site_max| lanes.adopt(Arc::new(limits(site_max)));
    let allowed = || lanes.map().sites.lane("a").unwrap().allowed;
    let mut place = unknown(&lanes, "a");
    assert!(joins(&mut place, "a", "mx"));
    assert_eq!(allowed(), 4);
    adopt(2);
    let attempted = slot(&place).await;
    place.finish(attempted, &Reached::Works, NOW);
    assert_eq!(allowed(), 2);
    adopt(6);
    let mut other = unknown(&lanes, "b");
    assert!(joins(&mut other, "b", "mx"));
    assert_eq!(allowed(), 6);
}
