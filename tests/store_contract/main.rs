//! One contract for all stores: each promise is a function over a fresh store, each backend keeps all of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod absent;
mod ahead;
mod damaged;
mod databases;
mod first_hour;
mod fixture;
mod nodes;
mod promise;
mod reopened;

use fixture::Fixture;

macro_rules! store_contract {
    ($open:path: $($promise:ident),+ $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            if let Some(fixture) = $open().await {
                let store = fixture.store.clone();
                crate::promise::$promise(fixture).await;
                crate::fixture::counts_are_true(&store).await;
            }
        }
    )+ };
    ($open:path) => { store_contract! { $open:
        a_refused_call_leaves_nothing_behind,
        calls_in_one_batch_see_each_other,
        a_scan_sees_what_is_not_committed_yet,
        who_reads_much_gives_way_to_everybody_else,
        devices_are_counted_as_they_are_written,
        devices_that_were_never_counted_are_counted_once,
        what_has_been_counted_is_not_counted_again,
        a_page_begins_after_its_key_whatever_the_call_wrote,
        ids_grow_in_the_order_in_which_they_are_made,
        a_key_is_of_a_thousand_bytes_at_most,
        a_call_knows_its_node_and_shows_waits_by_the_wall_clock,
        whom_a_change_concerns_is_told_once_it_is_committed,
        nothing_leaves_before_its_commit,
        a_panic_in_one_call_harms_no_other,
        a_wipe_overtakes_the_queue,
        a_wipe_asked_for_again_answers_the_first,
        a_repeated_answer_changes_nothing,
        evidence_beats_every_end,
        an_answer_never_asked_for_ends_nothing,
        a_command_is_repeated_until_it_is_answered,
        what_is_asked_for_again_while_it_is_open_answers_the_first,
        what_the_breaker_holds_answers_nobody_who_asks_again,
        who_asks_again_sees_the_pin_where_their_word_counts,
        what_is_never_answered_lets_others_pass_after_its_second_hand_out,
        what_is_never_answered_is_asked_again_after_pauses_that_grow,
        what_is_never_answered_while_the_device_is_heard_ends_as_failed,
        a_device_that_was_off_for_a_month_is_asked_again,
        how_long_an_answer_is_waited_for_is_a_setting,
        what_comes_up_by_itself_does_not_wait_behind_what_is_never_answered,
        a_part_that_is_put_off_for_ever_keeps_no_other_waiting,
        what_is_never_answered_takes_turns_with_its_like,
        a_wipe_is_neither_overtaken_nor_given_up,
        a_part_of_a_policy_that_is_never_answered_counts_as_refused_and_holds_no_other_back,
        what_is_never_read_back_says_so,
        what_was_sent_and_is_no_wipe_can_be_cancelled,
        what_was_put_off_is_asked_again_in_the_next_session,
        a_full_wipe_replaces_a_selective_one_that_has_not_left,
        a_personal_device_is_never_fully_wiped,
        a_wipe_needs_a_reason,
        how_to_erase_is_said_to_what_can_do_it,
        a_wipe_ordered_at_the_mail_server_counts_for_the_tenant_alone,
        a_wipe_ordered_at_the_mail_server_is_held_where_it_must_be,
        the_limits_hold_and_one_approval_holds_the_rest,
        a_newcomer_counts_for_nothing,
        a_newcomer_ends_their_own_tokens_alone,
        a_loosened_limit_waits,
        nobody_approves_their_own_request,
        who_has_no_token_is_no_second_person,
        an_approval_that_was_lost_holds_nothing_back,
        the_stop_holds_and_cancels_in_one_act,
        the_undo_window_can_be_used_and_ends,
        a_cancel_that_comes_too_late_says_so,
        a_wipe_shuts_mail_at_once_unless_held,
        a_wipe_goes_on_by_the_next_enrolment_or_fails,
        a_wipe_names_the_mail_that_it_closed,
        a_checkout_confirms_a_retire,
        a_jump_of_the_clock_is_not_counted,
        a_clock_set_back_shortens_nothing,
        a_clock_set_back_holds_no_timer_up,
        a_clock_set_back_revives_no_certificate,
        a_clock_years_ahead_expires_nothing_until_it_is_believed,
        local_alone_says_that_the_clock_is_right,
        the_audit_chain_shows_what_was_altered,
        an_invitation_is_found_by_each_of_its_secrets,
        wrong_codes_are_counted,
        a_right_code_is_taken_however_many_wrong_ones_there_were,
        a_name_that_many_bore_still_finds_who_bears_it,
        a_name_that_fits_two_devices_is_refused,
        an_id_is_taken_by_its_beginning_where_that_is_one_devices_alone,
        no_administrators_name_stands_before_anothers_id,
        a_name_means_the_one_that_lives_and_else_tells_whom_it_fits,
        what_has_ended_and_was_proved_is_removed_and_nothing_else,
        a_removed_device_that_enrols_anew_is_its_record_again,
        to_remove_is_guarded_like_a_retire,
        a_users_own_device_becomes_the_organisations_with_a_second_person,
        what_is_asked_of_an_ownership_lapses_when_that_is_said_anew,
        a_device_that_somebody_was_invited_for_is_given_to_nobody_else,
        who_leaves_unasked_is_told_of_and_who_was_retired_is_not,
        a_users_own_device_keeps_its_passcode,
        a_locked_screen_says_what_it_was_asked_to_where_that_is_shown,
        mail_clients_are_let_in_by_what_they_call_themselves,
        a_certificate_of_ours_that_the_store_does_not_know_is_named_once,
        a_revoked_certificate_is_listed,
        an_invitation_is_spent_once,
        an_install_that_broke_off_is_begun_again_by_the_same_invitation,
        who_has_the_link_too_ends_no_install_by_less_than_completing_their_own,
        an_install_that_fails_again_and_again_is_begun_again,
        what_is_under_way_outlives_its_invitation_and_has_seven_days,
        a_revoked_invitation_ends_what_is_under_way_by_it,
        a_wipe_asked_for_of_an_install_that_is_given_up_stays_owed_to_it,
        one_invitation_enrols_so_many_devices_of_nobody_in_particular,
        what_an_invitation_for_many_enrols_joins_and_replaces_nothing,
        an_invitation_for_many_takes_whatever_name_is_typed,
        a_group_that_is_no_more_keeps_nobody_from_enrolling,
        a_former_record_ends_when_it_is_silent_for_a_day_while_the_new_one_is_heard,
        an_open_wipe_of_a_former_record_is_not_lost_by_its_succession,
        an_open_retire_of_a_former_record_is_owed_to_its_certificate_alone,
        a_newcomers_invitation_for_many_ends_nothing,
        pcs_that_share_a_serial_number_alone_are_not_one_machine,
        of_two_records_of_one_user_a_new_enrolment_joins_that_under_a_wipe,
        a_record_that_another_took_the_place_of_is_removed_while_that_is_managed,
        a_former_record_whose_presumed_wipe_is_taken_back_ends_as_any_other,
        which_of_two_is_older_does_not_go_by_the_wall_clock,
        who_approves_what_is_no_more_is_told_so_and_it_ends,
        enrolments_join_one_device_for_the_same_user_only,
        a_users_devices_are_found_without_reading_all,
        a_nul_in_any_text_harms_nobody,
        a_device_is_enrolled_and_found_whatever_it_calls_itself,
        a_certificate_never_speaks_for_another_device,
        a_new_enrolment_takes_the_formers_place_with_an_empty_queue,
        a_wiped_pc_that_enrols_anew_proves_nothing,
        a_renewed_certificate_overlaps_the_old_one,
        a_revoked_enrolment_is_refused_and_its_wipe_says_so,
        whoever_stands_behind_a_newcomer_is_no_second_person,
        who_saw_an_approval_before_it_grew_looks_again,
        a_request_to_lift_a_stop_is_about_that_stop,
        a_wipe_goes_to_the_enrolment_that_hears,
        a_wipe_of_an_enrolment_not_complete_yet_is_there_when_it_is,
        what_another_channel_carries_outlives_a_new_enrolment,
        a_proved_wipe_ends_what_joined_meanwhile,
        what_the_breaker_holds_undoes_nothing,
        a_cancelled_full_wipe_leaves_the_device_under_the_retire,
        further_proof_changes_nothing_about_who_was_let_in_again,
        a_device_that_turns_personal_is_not_erased,
        what_is_begun_and_never_complete_tells_nothing_of_a_living_device,
        a_newcomers_phone_adopts_no_mail_that_is_there,
        a_mail_device_brings_along_what_it_was,
        a_wiped_pcs_old_certificate_is_heard_for_its_wipe_alone,
        nothing_guarded_passes_the_breaker_by,
        an_approved_retire_does_not_overtake_a_full_wipe,
        whose_word_counts_says_how,
        an_unknown_mail_app_says_nothing_of_a_managed_phone,
        a_held_wipe_keeps_its_enrolment_from_being_shut_out,
        a_sent_full_wipe_goes_on_by_mail_though_a_personal_enrolment_began,
        contact_contradicts_a_presumed_wipe,
        what_is_said_without_a_login_ends_a_wipe_only_after_a_month_of_silence,
        who_is_heard_after_a_proved_wipe_is_on_record,
        what_enrols_later_ends_nothing_and_is_served,
        a_wipe_owed_to_a_silent_certificate_is_presumed_after_a_month,
        what_enrolled_later_can_be_wiped_itself,
        an_enrolment_that_only_begins_makes_no_wipe_presumed,
        a_clone_does_not_end_the_first_while_that_is_heard,
        each_end_of_a_wipe_is_on_record,
        who_was_sent_something_and_is_silent_is_woken_again,
        a_wipe_asked_for_again_wakes_again,
        a_newcomer_cancels_and_rejects_their_own_alone,
        a_newcomers_stop_is_lifted_by_one_who_counts,
        what_a_newcomer_tightened_is_set_back_at_once,
        a_newcomer_has_no_fewer_connections_served_and_changes_nothing_that_waits,
        nobody_has_a_name_that_cannot_be_seen,
        a_revoked_invitation_enrols_nobody,
        a_newcomers_invitation_joins_no_device,
        a_passcode_is_cleared_under_the_same_guard_as_a_lock,
        a_newcomer_sets_no_other_push_certificate,
        what_has_ended_does_not_expire,
        what_the_end_of_another_wipe_ended_is_not_released,
        a_former_enrolment_that_is_owed_two_wipes_gets_the_second,
        a_held_wipe_that_another_asks_for_is_about_the_device_as_it_is,
        a_month_of_silence_begins_with_what_enrols_later,
        who_was_heard_before_another_enrols_was_not_silent,
        a_presumed_wipe_is_contradicted_beside_one_that_is_held,
        mail_is_shut_by_the_wipe_that_ended_it,
        a_rejected_notice_silences_no_other,
        a_store_is_of_one_size_after_thirty_days_and_after_ninety,
        what_the_server_asked_by_itself_is_kept_for_a_time_of_its_own,
        an_invitation_is_kept_for_its_time_and_its_ways_with_it,
        what_else_answers_the_same_command_does_not_end_what_could_not_be_read,
        a_page_shows_each_device_what_that_device_said,
        what_a_device_said_is_kept_for_its_time,
        a_certificate_stands_on_the_list_until_it_has_ended_by_itself,
        a_device_is_found_by_what_it_is_called_now_and_keeps_one_name_of_each_kind,
        former_names_go_and_those_that_are_borne_stay,
        what_a_device_brings_about_again_and_again_is_noted_ever_more_seldom,
        a_refused_device_that_asks_without_end_writes_the_log_not_full,
        answers_that_nobody_asked_for_are_noted_ever_more_seldom,
        what_is_put_off_without_end_is_told_of_ever_more_seldom,
        evidence_of_one_kind_has_a_bound,
        a_certificate_is_renewed_at_most_daily_by_who_renews_without_end,
        who_has_a_link_gets_no_certificates_without_end,
        what_is_over_is_found_on_every_page,
        an_approval_stays_while_it_waits_and_as_long_as_its_commands,
        an_accepted_loss_counts_what_is_left,
        an_accepted_loss_begins_with_the_stop_on_and_all_that_is_unsent_held,
        nothing_is_wrong_in_a_new_store,
        a_wipe_is_told_of_until_it_is_answered,
        a_wipe_that_takes_long_is_worse,
        a_wipe_that_came_to_nothing_is_told_of_until_another_is_asked_for,
        installs_that_are_stuck_are_told_of_with_their_invitation,
        what_waits_for_a_second_person_names_who_may_decide,
        a_request_that_nobody_may_decide_is_an_error,
        settings_notices_and_losses_are_told_of,
        a_survey_counts_the_devices_whose_certificates_end,
        what_ends_is_told_of_at_thirty_seven_and_one_days,
        a_mail_clients_certificate_is_told_of_before_it_ends,
        an_invitation_without_a_push_certificate_is_told_of,
        a_challenge_gives_one_key_one_certificate_for_the_enrolment_that_it_went_to,
        what_a_refused_renewal_gave_is_revoked_and_the_present_certificate_stays,
        what_is_set_apart_gets_no_other_certificate_by_its_own_signature,
        a_challenge_ends_with_its_hour_its_command_and_its_enrolment,
        a_proved_wipe_ends_both_certificates_of_an_enrolment_that_is_renewed,
        rules_for_the_passcode_hold_when_the_device_says_so,
        rules_of_mail_are_shown_before_they_count_and_a_persons_word_stands_above,
        a_letter_is_tried_until_it_was_taken_and_only_while_its_client_waits,
        a_rule_gives_its_time_once_and_who_comes_and_goes_gets_no_more,
        a_default_that_lets_everybody_in_waits_and_a_newcomer_sets_no_rules,
        a_phone_that_keeps_to_no_policy_over_its_management_loses_its_mail,
    } };
}

mod memory {
    store_contract!(crate::Fixture::memory);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_schools_summer_leaves_one_living_record_each() {
        let [one, other] = [crate::Fixture::memory().await.unwrap(), crate::Fixture::memory().await.unwrap()];
        crate::promise::a_summer_leaves_one_living_record_each(one, other, 2000).await;
    }
}
mod sled {
    store_contract!(crate::Fixture::sled);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_schools_summer_leaves_one_living_record_each() {
        let [one, other] = [crate::Fixture::sled().await.unwrap(), crate::Fixture::sled().await.unwrap()];
        crate::promise::a_summer_leaves_one_living_record_each(one, other, 60).await;
    }
}
mod postgres {
    store_contract!(crate::Fixture::postgres);
}
