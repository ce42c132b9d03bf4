//! The suite that every engine must pass: one test for each rule of the
//! contract.
//!
//! [`storage_conformance!`](crate::storage_conformance) makes the tests for an
//! engine. Each rule gets an empty store of its own and a clock that only the
//! rule moves. A rule panics when it is broken, as tests do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod between;
pub mod leasing;
pub mod model;
pub mod operating;
pub mod ordering;
pub mod rerouting;
pub mod settling;
pub mod storing;
pub mod suspending;

pub use bench::{Bench, ManualClock};
pub use between::{Between, Hook};

/// Makes a test of each rule for one engine.
///
/// The argument is an async function or closure of a
/// [`World`](crate::world::World), by whose clock the engine judges leases. It
/// gives an empty store and anything that has to live as long, such as the
/// directory that it lies in:
///
/// ```
/// # use std::sync::Arc;
/// use slimta_core::storage::{Memory, Storage};
///
/// slimta_core::storage_conformance!(async |world| {
///     (Arc::new(Memory::new(world)) as Arc<dyn Storage>, ())
/// });
/// ```
///
/// The crate that calls it needs tokio with `macros` and `rt` for its tests.
#[macro_export]
macro_rules! storage_conformance {
    ($engine:expr) => {
        $crate::storage::conformance::suite! { @rules $engine;
            storing::what_is_stored_is_there
            storing::a_submission_without_messages_is_refused
            storing::a_repeated_store_changes_nothing
            storing::a_repeated_store_does_not_bring_back_what_was_delivered
            storing::the_rest_of_a_submission_can_be_stored
            storing::first_leases_come_with_the_store
            storing::contents_survive_byte_for_byte
            storing::big_contents_and_many_recipients_survive
            storing::contents_stay_until_the_last_sharer_is_gone
            storing::unknown_ids_are_an_answer
            storing::a_closed_session_says_so
            storing::sessions_have_names_of_their_own
            leasing::no_message_is_claimed_twice
            leasing::racing_sessions_never_get_the_same_message
            leasing::racing_sessions_settle_each_message_once
            leasing::a_lease_ends_exactly_at_its_end
            leasing::a_renewed_lease_lasts
            leasing::only_the_last_lease_renews_unlocks_and_settles
            leasing::a_lease_that_ran_out_untaken_still_settles
            leasing::an_unlocked_message_is_due_as_before
            leasing::a_lease_given_back_is_worth_nothing
            leasing::locking_takes_what_is_not_due_or_held
            leasing::a_failed_lock_leaves_the_holder_alone
            leasing::tokens_grow_and_are_never_used_again
            leasing::managers_that_share_know_each_other
            settling::a_removed_message_leaves_no_trace
            settling::a_deferred_message_keeps_what_waits
            settling::a_settled_attempt_cannot_settle_again
            settling::a_notice_is_stored_with_the_removal
            settling::a_stale_settlement_stores_no_notice
            settling::a_repeated_notice_is_stored_once
            settling::a_batch_answers_in_order
            settling::a_held_message_stays_held_when_it_is_deferred
            ordering::the_longest_due_destination_comes_first
            ordering::destinations_come_in_pages
            ordering::what_is_not_due_is_not_claimed
            ordering::a_session_knows_the_storage_s_time
            ordering::priority_comes_before_age
            ordering::age_comes_before_priority_where_it_is_asked_for
            ordering::a_claim_takes_no_more_than_asked
            ordering::a_destination_with_nothing_to_claim_is_not_due
            ordering::the_next_due_time_is_the_earliest
            ordering::every_change_wakes_who_waits
            ordering::closing_wakes_who_waits
            operating::lists_come_in_pages_in_order
            operating::every_part_of_a_filter_counts
            operating::a_submission_id_means_all_its_messages
            operating::held_mail_waits_until_released
            operating::a_due_time_can_be_set
            operating::deleted_mail_is_gone_with_its_contents
            operating::leased_mail_is_left_alone
            operating::actions_come_in_pages
            operating::counts_are_kept
            operating::what_waits_is_counted_by_destination
            rerouting::rerouted_mail_is_of_its_new_destination_only
            rerouting::rerouted_mail_can_go_back
            rerouting::an_attempt_that_ran_out_still_settles_rerouted_mail
            suspending::suspensions_are_kept_until_resumed
            suspending::a_suspension_ends_at_its_time
            suspending::a_suspension_changes_no_message
            suspending::suspensions_are_bounded
            suspending::resuming_wakes_who_waits
            model::any_sequence_of_calls_agrees_with_the_model
        }
    };
    (@rules $engine:expr; $($group:ident :: $rule:ident)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let bench = $crate::storage::conformance::Bench::new();
                let (storage, _kept) = ($engine)(bench.world()).await;
                let bench = bench.with(storage);
                $crate::storage::conformance::$group::$rule(&bench).await;
            }
        )*
    };
}

pub use storage_conformance as suite;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::storage::{Memory, Storage};

    super::suite!(async |world| { (Arc::new(Memory::new(world)) as Arc<dyn Storage>, ()) });
}
