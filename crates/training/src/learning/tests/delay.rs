//! The loop that takes the numbers of an update after it handed the device the next one, on the CPU, where it gives the
//! very bits of the loop that waits.

use std::cell::Cell;

use super::resuming::{cases, drawn, left_behind};
use super::*;

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// Whether worlds that are made now delay.
pub(super) fn is_on() -> bool {
    IS_ON.get()
}

/// Runs tests in worlds that delay.
fn delayed(tests: &[fn()]) {
    IS_ON.set(true);
    tests.iter().for_each(|test| test());
    IS_ON.set(false);
}

/// What a person is told, in order.
fn told(world: &World, name: &str) -> (Vec<StepEntry>, Vec<String>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let hears: Hears = Arc::new(move |words: &str| hears.lock().unwrap().push(words.to_string()));
    let notes = Notes { hears: Some(hears), ..Notes::default() };
    let result = world.train(name, &notes);
    let mut heard = heard.lock().unwrap().clone();
    // When a thread has written a checkpoint is a matter of chance.
    heard.retain(|words| !words.starts_with("saved"));
    heard.push(result.map_or_else(|error| error.to_string(), |outcome| format!("{:?}", outcome.stop)));
    let steps = std::mem::take(&mut *notes.steps.lock().unwrap()).into_iter();
    (steps.map(|entry| StepEntry { tokens_per_second: 0.0, ..entry }).collect(), heard)
}

/// Trains with and without a delay; everything told and left behind must be the same.
fn assert_equal(world: &mut World, faults: &dyn Fn() -> Option<Injection>, what: &str) {
    let runs = [("waiting", false), ("delayed", true)].map(|(name, delays)| {
        (world.delays, world.faults) = (delays, faults());
        let told = told(world, name);
        (told, left_behind(world, name), kiln_storage::steps(&world.folder.path().join(name)).unwrap())
    });
    let [waiting, delayed] = runs;
    assert!(!waiting.0.0.is_empty(), "{what}");
    assert_eq!(delayed.0, waiting.0, "{what}");
    assert!(delayed.1 == waiting.1, "{what}: another log, checkpoint or weights");
    assert_eq!(delayed.2, waiting.2, "{what}");
}

#[test]
fn random_configurations_give_the_same_bits_with_a_delay() {
    for seed in 0..cases() {
        let (mut world, what) = drawn(seed);
        assert_equal(&mut world, &|| None, &what);
    }
}

#[test]
fn random_configurations_with_faults_give_the_same_bits_with_a_delay() {
    use super::injection::Site;
    for seed in 0..cases() {
        let (mut world, what) = drawn(seed);
        (world.run.steps, world.run.keep) = (24, 20);
        // A first checkpoint comes before the faults: one alone, two with one between them, some in a row, and enough
        // to go back.
        let length = [1, 1, 3, 9][seed as usize % 4];
        let site = [Site::Gradient, Site::Loss][seed as usize / 4 % 2];
        let first = 8 + seed % 5;
        let faults = || {
            // Not again after a return to an earlier step.
            let mut met = std::collections::BTreeSet::new();
            Some(Injection::plan(move |step| {
                let is_bad = (first..first + length).contains(&step) || step == first + length + 1;
                (is_bad && met.insert(step)).then_some((site, f64::NAN))
            }))
        };
        assert_equal(&mut world, &faults, &format!("{length} faults from step {first} on; {what}"));
    }
}

#[test]
fn the_suite_of_resumptions_holds_with_a_delay() {
    delayed(&[
        super::a_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not,
        super::a_rate_that_follows_the_losses_is_the_same_after_a_stop,
        super::resuming::random_configurations_resume_to_the_same_bits,
        super::resuming::a_chain_of_stops_at_any_moment_ends_with_the_same_bits,
        super::resuming::patience_ends_a_run_early_and_is_the_same_after_a_stop,
        super::averaging::a_run_that_averages_and_was_stopped_ends_with_the_bits_of_one_that_was_not,
        super::averaging::the_saved_model_is_the_one_that_was_evaluated_and_not_the_one_that_is_trained,
        super::own_schedule::a_schedule_of_ones_own_gives_the_rates_and_is_saved_and_restored,
    ]);
}

#[test]
fn the_suites_of_faults_and_measurements_hold_with_a_delay() {
    delayed(&[
        super::a_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoints,
        super::faults::one_infinite_gradient_costs_one_step_and_nothing_after_it,
        super::faults::eight_in_a_row_go_back_to_the_last_checkpoint_and_on_with_later_data,
        super::faults::a_run_that_is_stopped_during_faults_goes_back_like_one_that_is_not,
        super::faults::checkpoints_saved_during_faults_displace_no_others,
        super::faults::weights_that_went_bad_are_replaced_and_never_saved,
        super::faults::after_three_returns_it_stops_with_a_report,
        super::faults::a_validation_loss_that_is_not_finite_goes_back_like_a_fault_of_training,
        super::faults::without_a_checkpoint_there_is_nothing_to_go_back_to,
        super::spikes::a_spike_is_logged_between_the_logged_steps_and_found_again_after_a_resumption,
        super::measuring::a_measured_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not,
        super::measuring::steps_with_a_measurement_are_logged_with_it,
        super::measuring::measuring_changes_no_bit_of_a_run_that_accumulates,
    ]);
}

/// So that the tests above compare what they say.
#[test]
fn with_a_delay_an_update_begins_before_the_numbers_of_the_one_before_are_read() {
    use crate::learning::gradients::Measure;
    use crate::learning::update::{Step, Updater};
    let world = World::new(TRANSFORMER, "windows = \"random\"\nclip-norm = 0.5");
    let updater = |delays: bool| {
        let mut updater = Updater::new(&world.config(), world.first_model(), world.train.clone()).unwrap();
        updater.delays = delays;
        updater
    };
    let (mut waiting, mut delayed) = (updater(false), updater(true));
    assert!(waiting.waits(Measure::default()) && !delayed.waits(Measure::default()));
    let [first, second] = [1, 2].map(|step| match waiting.update(step, step - 1, Measure::default()).unwrap() {
        Step::Made(update) => update,
        Step::Skipped(fault) => panic!("{fault:?}"),
    });
    let begun = delayed.begin(1, 0, Measure::default(), None, &|| false).unwrap().unwrap();
    let next = delayed.begin(2, 1, Measure::default(), Some(&begun), &|| false).unwrap().unwrap();
    for (pending, expected) in [(begun, first), (next, second)] {
        let Step::Made(update) = delayed.finish(pending, None).unwrap().0 else { panic!("it was not made") };
        assert_eq!(update, expected);
    }
}
