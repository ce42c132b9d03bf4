//! Every step that the disk can fail, one after the other, and every moment at
//! which the power can go.

use std::sync::Arc;

use slimta_core::message::Destination;
use slimta_core::storage::StorageError;

use super::books::{Books, check_image};
use super::disk::{Fault, SimDisk};
use super::script::{CHAPTERS, Chapter, OPERATIONS, chapters};
use super::{LEASE, Limits, mail};
use crate::embedded::Embedded;

/// How many ways of losing and tearing are tried at each sync.
const CUTS: u64 = 4;
/// How often the machine dies again while it recovers.
const CRASHES: u64 = 3;

#[test]
fn the_script_is_long_enough() {
    assert!(CHAPTERS as usize * OPERATIONS >= 200);
}

/// Plays a chapter with a fault, and checks what is found after it. False when
/// the chapter came to its end without meeting the fault.
async fn survives(chapter: &Chapter, fault: Fault) -> bool {
    let at = format!("chapter {}, {fault:?}", chapter.number);
    let disk = Arc::new(SimDisk::holding(chapter.image.clone()));
    disk.fail(fault);
    let opened = chapter.open(&disk);
    let mut books = chapter.books.clone();
    match &opened {
        Err(error) => assert!(matches!(error, StorageError::Open { .. }), "{at}: {error}"),
        Ok(store) => {
            let mut player = chapter.player(store).await;
            let mut works = true;
            for operation in chapter.operations() {
                works = works && player.play(operation).await;
            }
            books = player.books;
            if !disk.has_failed() {
                assert!(works, "{at}: a call failed without a fault");
                return false;
            }
            assert!(!works || books.open.is_empty(), "{at}");
            if !works {
                refuses_to_write(store, &disk, &at).await;
            }
        }
    }
    let killed = disk.after_kill();
    drop(opened);
    let dropped = disk.after_kill();
    let mut images = vec![(&killed, "killed")];
    if dropped != killed {
        images.push((&dropped, "dropped"));
    }
    let power_cut = disk.after_power_cut(chapter.number);
    if matches!(fault, Fault::From(_)) {
        images.push((&power_cut, "power cut"));
    }
    for (image, when) in images {
        let at = format!("{at}, {when}");
        check_image(
            image.clone(),
            &Chapter::later(),
            chapter.limits(),
            &books,
            &at,
        )
        .await;
    }
    true
}

/// After a failure nothing is written or synced any more, until it is opened
/// anew.
async fn refuses_to_write(store: &Embedded, disk: &SimDisk, at: &str) {
    use slimta_core::storage::Storage;
    let steps = disk.steps();
    let session = store.connect().await.unwrap();
    let mail = mail(&store.0.engine.world, &["a.example"], vec![b'x'; 10]);
    let refused = session.store(mail, None).await;
    assert!(matches!(refused, Err(StorageError::Poisoned(_))), "{at}");
    // Nor is mail handed out whose delivery could not be recorded.
    let destination = Destination::new("a.example");
    let refused = session.claim(&destination, 10, LEASE).await;
    assert!(matches!(refused, Err(StorageError::Poisoned(_))), "{at}");
    assert_eq!(disk.steps(), steps, "{at}: it goes on after a failure");
}

/// Fails each step of the script in turn.
async fn every_step(half: u64, fault: fn(u64) -> Fault) {
    let mut steps = 0;
    for chapter in chapters().await.iter().filter(|c| c.number / 2 % 2 == half) {
        let mut step = 1;
        while survives(chapter, fault(step)).await {
            step += 1;
        }
        steps += step;
    }
    assert!(steps > 300, "only {steps} steps");
    println!("{steps} steps");
}

#[tokio::test(start_paused = true)]
async fn any_step_may_fail_once_in_two_phases() {
    every_step(0, Fault::Once).await;
}

#[tokio::test(start_paused = true)]
async fn any_step_may_fail_once() {
    every_step(1, Fault::Once).await;
}

#[tokio::test(start_paused = true)]
async fn the_disk_may_go_at_any_step_in_two_phases() {
    every_step(0, Fault::From).await;
}

#[tokio::test(start_paused = true)]
async fn the_disk_may_go_at_any_step() {
    every_step(1, Fault::From).await;
}

/// Every moment right before a sync, with what was known at it.
async fn moments(chapter: &Chapter) -> Vec<(super::disk::Cut, Books)> {
    let disk = Arc::new(SimDisk::holding(chapter.image.clone()));
    disk.watch();
    let store = chapter.open(&disk).unwrap();
    let mut moments = Vec::new();
    moments.extend(
        disk.cuts()
            .into_iter()
            .map(|cut| (cut, chapter.books.clone())),
    );
    let mut player = chapter.player(&store).await;
    for operation in chapter.operations() {
        let before = player.books.known.clone();
        assert!(player.play(operation).await);
        // The call was under way: it has happened or not.
        let mut books = player.books.clone();
        let is_new = |(id, seen): &(_, _)| before.get(id) != Some(seen);
        books
            .open
            .push(books.known.clone().into_iter().filter(is_new).collect());
        books.known = before;
        moments.extend(disk.cuts().into_iter().map(|cut| (cut, books.clone())));
    }
    let books = player.books.clone();
    drop((player, store));
    moments.extend(disk.cuts().into_iter().map(|cut| (cut, books.clone())));
    moments
}

/// Dies again and again while it opens the store.
fn crash_while_opening(mut image: Vec<u8>, limits: Limits, step: u64, seed: u64) -> Vec<u8> {
    for crash in 0..CRASHES {
        let disk = Arc::new(SimDisk::holding(image));
        disk.fail(Fault::From(step));
        drop(Embedded::on(disk.clone(), Chapter::later(), limits));
        image = disk.after_power_cut(seed + crash);
    }
    image
}

async fn the_power_may_go_at_every_sync(half: u64) {
    let (mut count, mut images) = (0, 0);
    for chapter in chapters().await.iter().filter(|c| c.number / 2 % 2 == half) {
        for (number, (cut, books)) in moments(chapter).await.into_iter().enumerate() {
            count += 1;
            for seed in 0..CUTS {
                let at = format!("chapter {}, sync {number}, seed {seed}", chapter.number);
                let mut image = cut.image(seed + CUTS * count);
                if seed % 2 == 1 {
                    image = crash_while_opening(image, chapter.limits(), 1 + count % 16, count);
                }
                check_image(image, &Chapter::later(), chapter.limits(), &books, &at).await;
                images += 1;
            }
        }
    }
    assert!(count > 100, "only {count} syncs");
    println!("{count} syncs, {images} images");
}

#[tokio::test(start_paused = true)]
async fn the_power_may_go_at_every_sync_in_two_phases() {
    the_power_may_go_at_every_sync(0).await;
}

#[tokio::test(start_paused = true)]
async fn the_power_may_go_at_every_sync_in_one_phase() {
    the_power_may_go_at_every_sync(1).await;
}

/// At every step of opening a store that was not closed, three times in a row.
#[tokio::test(start_paused = true)]
async fn recovery_may_crash_three_times_at_any_step() {
    for chapter in chapters().await.iter().skip(1).take(2) {
        let moments = moments(chapter).await;
        let (cut, books) = &moments[moments.len() / 2];
        let mut step = 1;
        loop {
            let disk = Arc::new(SimDisk::holding(cut.image(7)));
            disk.fail(Fault::From(step));
            let opened = Embedded::on(disk.clone(), Chapter::later(), chapter.limits());
            drop(opened);
            if !disk.has_failed() {
                break;
            }
            let image = crash_while_opening(cut.image(7), chapter.limits(), step, step);
            let at = format!("chapter {}, step {step}", chapter.number);
            check_image(image, &Chapter::later(), chapter.limits(), books, &at).await;
            step += 1;
        }
        assert!(step > 5, "opening takes {step} steps");
    }
}
