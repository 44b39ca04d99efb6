//! One suite for every backend: what the traits promise, as tests that a backend calls.
//!
//! A backend implements [`Harness`] and invokes [`crate::conformance_tests!`], which makes one
//! `#[tokio::test]` of every behaviour. Nothing here waits: time is moved through the harness.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, compiled as a library so that every backend can call them"
)]

mod actions;
mod approvals;
mod attempts;
mod batches;
mod containments;
mod effects;
mod fencing;
mod fixtures;
mod holds;
mod inbox;
mod intents;
mod leases;
mod letters;
mod outbox;
mod overrides;
mod previews;
mod prunes;
mod records;
mod replacements;
mod requests;
mod revisions;
mod rollouts;
pub mod tamper;
mod trail;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::Store;

pub use self::fixtures::protection;

/// What tests of one backend alone are told with.
pub mod samples {
    pub use super::fixtures::{
        at, cluster, decision, done_with, granted, hold, intent, key, pending, refused_for,
    };
    pub use super::tamper::verify;
}

/// One empty database of a backend.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the database as one more process would.
    async fn connect(&self) -> Arc<dyn Store>;

    /// Moves the database's clock forward, for all that have opened it.
    fn advance(&self, by: Duration);
}

/// A database that its owner goes around the program to change.
#[async_trait]
pub trait Tampering: Harness {
    /// Runs statements as whoever owns the database can: no trigger and no constraint of the
    /// audit trail is in the way.
    async fn tamper(&self, statements: &[&str]);
}

/// The list of all behaviours, handed to a macro. A behaviour that is missing here is dead code,
/// which the compiler reports.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_behaviour {
    ([$($callback:tt)+] $($args:tt)*) => {
        $($callback)+! {
            ($($args)*)
            leases {
                a_lease_goes_to_one_of_many
                a_lease_is_taken_over_only_after_its_end
                a_release_hands_over_at_once
                a_renewal_extends_the_lease
                a_late_renewal_counts_if_nobody_took_over
                an_old_holder_can_neither_renew_nor_release
                a_repeated_request_gets_the_same_epoch
                epochs_only_grow
                the_holder_is_named_while_it_holds
            }
            fencing {
                no_leader_write_after_a_takeover
                no_leader_write_after_a_release
                no_leader_write_with_another_term_of_the_same_epoch
                no_leader_write_with_an_earlier_epoch_of_the_same_term
                no_leader_write_without_a_lease
                writes_go_on_after_the_end_while_nobody_took_over
            }
            actions {
                a_proposal_is_recorded_with_all_its_parts
                a_key_has_one_open_action
                a_batch_is_recorded_in_order_and_a_busy_key_leaves_nothing
                fifty_proposals_for_one_key_leave_one
                a_key_is_free_after_its_action_ended
                a_proposal_that_contradicts_itself_refuses_the_batch
                closing_ends_the_action_and_its_request
                closing_compares_the_revision
                closing_never_ends_what_may_have_happened
                closing_never_starts_anything
                what_has_ended_never_moves_again
                actions_are_found_by_the_start_of_their_id
                actions_are_listed_newest_first_and_filtered
                actions_of_many_objects_are_listed
            }
            approvals {
                approving_grants_the_action
                denying_ends_the_action
                fifty_decisions_leave_one
                a_decision_is_made_once
                a_decision_compares_the_revision
                a_decision_compares_what_was_seen
                a_machine_decides_nothing
                an_approval_is_revoked_until_it_starts
                a_decision_comes_too_late_after_the_deadline
                a_grant_needs_a_deadline
                a_request_ends_with_its_action
                approvals_are_found_by_the_start_of_any_of_their_ids
                approvals_are_listed_oldest_first_and_filtered
            }
            batches {
                one_decision_covers_many
                a_decision_leaves_out_what_has_moved
                a_decision_that_fits_nothing_leaves_nothing
                a_failure_halts_the_rest
                a_rollout_that_is_undone_halts_the_rest
                what_returns_after_a_halt_does_not_start_again
                a_decision_may_go_on_after_failures
                a_halt_reaches_nobody_else
                many_are_denied_and_revoked_at_once
                decisions_are_found_by_the_start_of_their_id
            }
            waits {
                what_an_action_waits_for_is_kept
                the_end_of_a_wait_is_kept
                only_what_has_not_started_waits
                waiting_wakes_nobody
                what_moved_is_kept_with_the_action
            }
            outbox {
                messages_come_with_what_they_tell
                a_refused_write_tells_nobody
                the_same_event_is_told_once
                an_endpoint_gets_what_comes_after_it
                a_delivery_is_tried_until_it_arrives
                a_delivery_is_given_up_and_started_again
                an_old_leader_delivers_nothing
                requests_are_reminded_of_once
                old_messages_are_forgotten
            }
            intents {
                beginning_stores_the_exact_bytes_as_unknown
                fifty_beginnings_leave_one
                a_thousand_beginnings_of_a_grant_leave_one
                only_a_granted_action_begins
                beginning_compares_the_revision
                a_rehearsal_never_begins
                an_intent_fits_its_action
                each_outcome_ends_the_action_in_its_way
                a_retry_keeps_the_grant
                settling_happens_once
                fifty_outcomes_leave_one
                a_new_leader_settles_what_the_old_one_began
                ownership_changes_only_with_an_outcome
                ownership_follows_only_its_own_object
                our_own_records_change_without_an_intent
            }
            effects {
                all_effects_are_stored_with_the_outcome
                no_effect_without_an_outcome
                effects_follow_only_their_own_object
                a_revision_names_its_own_action
                effects_come_without_an_intent_too
            }
            rollouts {
                an_accepted_action_rolls_out
                a_rollout_ends_well_or_badly
                a_rollout_ends_in_no_other_way
                a_rollout_keeps_its_key_busy
                nothing_rolls_out_without_a_write
            }
            replacements {
                a_replacement_goes_on_with_the_create
                only_a_removal_is_followed_by_a_create
                a_settled_intent_does_not_go_on
                a_replacement_begins_with_the_removal
                fifty_steps_leave_one
            }
            revisions {
                a_revision_comes_back_with_all_its_parts
                numbers_count_from_one_for_each_object
                fifty_revisions_have_fifty_numbers
                a_change_by_somebody_else_is_in_the_trail
                a_history_is_read_newest_first
                the_heads_are_the_newest_of_each_object
                a_history_has_a_length_and_keeps_what_was_adopted
                a_version_that_cannot_be_kept_is_refused
            }
            requests {
                a_request_is_filed_and_wakes_the_loop
                asking_twice_is_asking_once
                fifty_requests_leave_one
                an_answer_is_given_once
                the_action_answers_the_request
                a_busy_key_leaves_the_request_open
                an_action_answers_only_its_own_request
                requests_are_listed_oldest_first_and_filtered
            }
            holds {
                a_hold_is_kept_until_it_is_lifted
                an_object_has_one_hold
                holds_are_in_the_trail_under_their_own_words
                holds_are_listed_by_cluster
            }
            trail {
                an_empty_trail_is_whole
                every_row_is_in_a_chain_of_its_writer
                many_writers_at_once_leave_whole_chains
                a_refused_write_leaves_the_chain_as_it_was
                facts_come_back_in_the_shape_of_their_kind
                attempts_are_counted
                the_trail_is_read_from_a_number_on
                the_trail_is_filtered_in_every_way
            }
            inbox {
                an_announcement_waits_until_it_is_answered
                a_copy_is_known_under_either_name
                fifty_copies_leave_one
                an_announcement_wakes_the_loop_and_its_answer_does_not
                an_old_leader_answers_nothing
                what_is_old_is_forgotten
                only_so_many_wait
                an_announcement_survives_its_receiver
            }
            previews {
                a_preview_stands_for_the_newest_of_its_proposal
                the_oldest_previews_go
                an_old_leader_keeps_no_preview
            }
            attempts {
                attempts_are_counted_by_action
                a_retry_counts_when_it_was_an_attempt
                the_count_survives_a_leader
                only_open_actions_have_a_next_attempt
                a_settled_intent_takes_no_attempt
            }
            letters {
                a_failed_action_leaves_a_letter
                every_way_to_fail_leaves_one
                a_failure_that_is_refused_leaves_none
                letters_are_listed_by_when_they_failed_and_filtered
                letters_are_found_by_the_start_of_their_id
                a_letter_is_requeued_once
                fifty_requeues_leave_one
                a_requeue_is_about_the_letters_own_object
                a_letter_is_dropped_for_a_reason
                a_rejected_event_is_kept_and_counted
                a_letter_outlives_the_next_action
            }
            overrides {
                an_override_comes_back_with_all_its_parts
                an_override_ends_at_its_time_or_when_it_is_lifted
                overrides_are_found_by_the_start_of_their_id
                the_overrides_counter_moves_with_overrides_alone
                a_hundred_overrides_are_the_most
                fifty_last_overrides_leave_one
                an_override_that_never_holds_is_refused
                overrides_are_in_the_trail_under_their_own_words
            }
            containments {
                an_order_is_kept_and_wakes_the_loop
                orders_follow_the_table
                fifty_kills_leave_one
                orders_are_in_the_trail_under_their_own_words
                a_rehearsed_order_is_only_in_the_trail
                a_confirmation_is_good_once
                containments_are_listed_by_cluster
                a_kill_begins_with_its_record_and_its_intent
                a_kill_overtakes_what_is_open
                a_kill_waits_for_a_create_and_for_a_replacement
                a_write_follows_the_orders_of_this_moment
                a_write_of_containment_is_nothing_else
                a_former_state_is_kept_until_it_is_forgotten
                only_what_is_being_resumed_ends
                the_mode_of_the_leader_is_known_while_it_leads
                a_new_leader_settles_a_kill
            }
            records {
                a_refusal_is_in_the_ledger_and_in_the_trail
                a_decision_comes_back_with_all_its_parts
                what_one_process_writes_the_others_see
                the_change_counter_moves_with_what_is_recorded
                last_good_content_comes_back_byte_for_byte
                the_ledger_is_read_from_a_moment_on
                the_audit_trail_is_filtered_newest_first
                ownership_is_listed_by_cluster
                ownership_is_read_for_given_objects
                every_process_sees_the_same_installation
            }
            prunes {
                a_mark_is_kept_for_each_cluster
                an_old_leader_moves_no_mark
                removals_are_found_by_kind_and_time
                a_stack_that_took_an_object_over_is_kept
            }
        }
    };
}

macro_rules! entry_points {
    (() $($module:ident { $($name:ident)+ })+) => {
        $($(
            #[doc = concat!("See the name; in `", stringify!($module), "`.")]
            pub async fn $name(harness: &dyn Harness) {
                $module::$name(harness).await;
            }
        )+)+
    };
}
for_each_behaviour!([entry_points]);

/// Makes a test of every behaviour. The argument is an expression for a future of a [`Harness`]
/// on a new, empty database. The caller needs `tokio` with its test macro.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::for_each_behaviour!([$crate::behaviour_tests] $harness);
    };
}

/// Part of [`crate::conformance_tests!`].
#[doc(hidden)]
#[macro_export]
macro_rules! behaviour_tests {
    (($harness:expr) $($module:ident { $($name:ident)+ })+) => {
        $(mod $module {
            use super::*;

            $(
                #[tokio::test]
                async fn $name() {
                    let harness = $harness.await;
                    $crate::conformance::$name(&harness).await;
                }
            )+
        })+
    };
}

/// Makes the tests of [`tamper`]. The argument is an expression for a future of a [`Tampering`] on
/// a new, empty database that several processes can open.
#[macro_export]
macro_rules! tamper_tests {
    ($harness:expr) => {
        $crate::tamper_tests! { @each $harness;
            every_attack_is_found_and_named
            the_first_broken_row_is_named_first
            a_writer_puts_no_seal_under_what_somebody_else_has_made
        }
    };
    (@each $harness:expr; $($name:ident)+) => {
        mod tamper {
            use super::*;

            $(
                #[tokio::test]
                async fn $name() {
                    $crate::conformance::tamper::$name(async || $harness.await).await;
                }
            )+
        }
    };
}
