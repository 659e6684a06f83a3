//! Schedules against outside figures and hand-worked sequences, and their restoration.

use kiln_hostile::{Fate, Form};
use kiln_settings::{Entry, Kind, Schema};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::*;

#[derive(Deserialize)]
struct Fixture {
    rate: f64,
    by_time: BTreeMap<String, Vec<f64>>,
    plateau: BTreeMap<String, Plateau>,
    cosine_with_warmup: NanoGpt,
}

#[derive(Deserialize)]
struct Plateau {
    settings: BTreeMap<String, f64>,
    losses: Vec<f64>,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct NanoGpt {
    steps: Vec<usize>,
    rates: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../fixtures/schedules.json")).unwrap()
}

/// The schedule that a table under `[schedule]` means, in a run of `steps` updates.
fn schedule(table: &str, steps: u64) -> Box<dyn Schedule> {
    let config: ScheduleConfig = toml::from_str(table).unwrap_or_else(|error| panic!("{table}: {error}"));
    assert_eq!(config.validate(steps), [], "{table}");
    config.build(steps)
}

fn rates(schedule: &mut dyn Schedule, count: usize) -> Vec<f64> {
    (0..count).map(|_| schedule.next_rate()).collect()
}

fn assert_rates(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-11 * expected.abs().max(1e-3),
            "{what}, update {step}: {found}, not {expected}"
        );
    }
}

#[test]
fn schedules_by_time_give_pytorchs_rates() {
    let fixture = fixture();
    let tables = [
        ("step", "[step]\nrate = 0.8\nevery = 7\nfactor = 0.3"),
        ("exponential", "[exponential]\nrate = 0.8\nfactor = 0.97"),
        ("polynomial", "[polynomial]\nrate = 0.8\npower = 1.5\nsteps = 50"),
        ("linear", "[linear]\nrate = 0.8\nfinal-rate = 0.04\nsteps = 50"),
        ("cosine", "[cosine]\nrate = 0.8\nfinal-rate = 0.01"),
        ("cosine_restarts", "[cosine-restarts]\nrate = 0.8\nfinal-rate = 0.01\nperiod = 5\nperiod-growth = 2"),
        ("one_cycle", "[one-cycle]\nrate = 0.8"),
        ("piecewise", "[piecewise]\nrates = [0.8, 0.2, 0.05]\nboundaries = [11, 40]"),
    ];
    assert_eq!(fixture.rate, 0.8);
    assert_eq!(fixture.by_time.len(), tables.len());
    for (name, table) in tables {
        let expected = &fixture.by_time[name];
        let found = rates(&mut *schedule(table, expected.len() as u64), expected.len());
        assert_rates(&found, expected, name);
    }
}

#[test]
fn reduce_on_plateau_gives_pytorchs_rates() {
    for (name, case) in fixture().plateau {
        let setting = |key: &str| case.settings.get(key).copied().unwrap_or(0.0);
        let config = ReduceOnPlateauConfig {
            rate: 0.8,
            factor: setting("factor"),
            patience: setting("patience") as u64,
            threshold: setting("threshold"),
            cooldown: setting("cooldown") as u64,
            minimum_rate: setting("min_lr"),
            watch: Watched::Validation,
            warmup: 0,
        };
        let mut schedule = ScheduleConfig::ReduceOnPlateau(config).build(100);
        let mut found = Vec::new();
        for loss in &case.losses {
            schedule.observe_training(1e9);
            schedule.observe_validation(*loss);
            found.push(schedule.next_rate());
        }
        assert_rates(&found, &case.rates, &name);
        assert!(found.windows(2).filter(|pair| pair[0] != pair[1]).count() >= 3, "{name} never cuts");
    }
}

#[test]
fn cosine_with_warmup_gives_nanogpts_rates() {
    let case = fixture().cosine_with_warmup;
    let mut cosine = schedule("[cosine]\nrate = 1e-3\nfinal-rate = 1e-4\nwarmup = 100", 2000);
    let found = rates(&mut *cosine, 5001);
    for (step, expected) in case.steps.iter().zip(case.rates) {
        assert!((found[*step] - expected).abs() < 1e-13, "step {step}: {} instead of {expected}", found[*step]);
    }
}

#[test]
fn schedules_by_time_give_the_rates_worked_by_hand() {
    let half = 0.5_f64.sqrt();
    let cases: [(&str, u64, &[f64]); 11] = [
        ("[constant]\nrate = 20.0\nwarmup = 3", 10, &[5.0, 10.0, 15.0, 20.0, 20.0, 20.0]),
        ("[inverse-time]\nrate = 6.0", 10, &[6.0, 3.0, 2.0, 1.5]),
        ("[inverse-time]\nrate = 6.0\ntime-constant = 2.0", 10, &[6.0, 4.0, 3.0, 2.4]),
        ("[inverse-square-root]\nrate = 6.0", 10, &[6.0, 6.0 * half, 6.0 / 3.0_f64.sqrt(), 3.0]),
        ("[inverse-square-root]\nrate = 6.0\ntime-constant = 1.0\nwarmup = 1", 10, &[3.0, 6.0, 6.0 * half]),
        // 16^(-1/2) = 1/4, and s W^(-3/2) = s / 8 up to s = 4.
        ("[noam]\nfactor = 4.0\nwidth = 16\nwarmup = 4", 10, &[0.125, 0.25, 0.375, 0.5, 0.2_f64.sqrt()]),
        (
            "[warmup-stable-decay]\nrate = 8.0\nfinal-rate = 2.0\nwarmup = 1\ndecay-fraction = 0.5",
            9,
            &[4.0, 8.0, 8.0, 8.0, 8.0, 8.0, 6.5, 5.0, 3.5, 2.0, 2.0],
        ),
        (
            "[warmup-stable-decay]\nrate = 8.0\ndecay-fraction = 1.0\nshape = \"square-root\"",
            4,
            &[8.0, 4.0, 8.0 * (1.0 - half), 8.0 * (1.0 - 0.75_f64.sqrt()), 0.0],
        ),
        (
            "[warmup-stable-decay]\nrate = 8.0\ndecay-fraction = 1.0\nshape = \"cosine\"",
            4,
            &[8.0, 4.0 + 4.0 * half, 4.0, 4.0 - 4.0 * half, 0.0],
        ),
        // Boundaries count from the start of the run, the warm-up included.
        ("[piecewise]\nrates = [4.0, 1.0]\nboundaries = [3]\nwarmup = 1", 9, &[2.0, 4.0, 4.0, 1.0, 1.0]),
        // A cycle of one update is at its end at once, as PyTorch's is.
        ("[one-cycle]\nrate = 1.0", 1, &[1.0 / 25.0 / 1e4, 1.0 / 25.0 / 1e4]),
    ];
    for (table, steps, expected) in cases {
        assert_rates(&rates(&mut *schedule(table, steps), expected.len()), expected, table);
    }
}

/// Theory with a floor of 2 for each unit of the rate.
fn excess(excess: f64) -> Theory {
    Theory { excess, floor_per_rate: 2.0, true_floor_per_rate: 0.5 }
}

#[test]
fn error_floor_halves_at_twice_the_known_floor() {
    let mut schedule = schedule("[error-floor]\nrate = 1.0\nwarmup = 1", 100);
    // Twice the floor is 4 at rate 1, 2 at rate 1/2, 1 at rate 1/4. What is seen in the warm-up does not count.
    let seen = [(0.0, 0.5), (9.0, 1.0), (4.1, 1.0), (4.0, 0.5), (3.0, 0.5), (2.0, 0.25), (1.0, 0.125), (1.0, 0.125)];
    for (step, (above, expected)) in seen.into_iter().enumerate() {
        schedule.observe_training(0.0);
        schedule.observe_theory(excess(above));
        assert_eq!(schedule.next_rate(), expected, "update {step}");
    }
}

#[test]
fn error_floor_halves_at_twice_the_true_floor_if_that_is_meant() {
    let mut schedule = schedule("[error-floor]\nrate = 1.0\nfloor = \"true\"", 100);
    // Twice the true floor is 1 at rate 1 and 1/2 at rate 1/2.
    for (above, expected) in [(4.0, 1.0), (1.1, 1.0), (1.0, 0.5), (0.6, 0.5), (0.5, 0.25)] {
        schedule.observe_theory(excess(above));
        assert_eq!(schedule.next_rate(), expected, "at {above}");
    }
}

#[test]
fn non_monotone_cuts_when_a_loss_is_worse_than_the_best_of_a_while_ago() {
    let mut schedule = schedule("[non-monotone]\nrate = 1.0\nfactor = 0.5\npatience = 2", 100);
    // 4.5 is worse than 4 but that is among the newest two; the second 4.5 is worse than 4. Then it counts anew.
    let losses = [5.0, 4.0, 4.5, 4.2, 4.5, 9.0, 9.0, 9.0, 9.1];
    let expected = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25];
    for (step, (loss, expected)) in losses.into_iter().zip(expected).enumerate() {
        schedule.observe_validation(loss);
        assert_eq!(schedule.next_rate(), expected, "loss {step}");
    }
}

#[test]
fn error_floor_with_the_floor_estimated_cuts_when_the_loss_rests() {
    let table = "[error-floor]\nrate = 8.0\nfactor = 0.25\nwindow = 16\nwindow-growth = 2.0";
    let mut schedule = schedule(table, 200);
    // Falling, falling, level; then windows of 32: falling, level; then of 64.
    let falling = |from: f64, count: usize| (0..count).map(move |i| from - i as f64).collect::<Vec<_>>();
    let losses =
        [falling(90.0, 16), falling(74.0, 16), vec![9.0; 16], falling(40.0, 32), vec![9.0; 32], falling(40.0, 64)];
    let mut found = Vec::new();
    for loss in losses.concat() {
        schedule.observe_training(loss);
        found.push(schedule.next_rate());
    }
    let mut expected = vec![8.0; 47];
    expected.extend([2.0; 64]);
    expected.extend([0.5; 65]);
    assert_eq!(found, expected);
}

/// One table of each schedule, each with a warm-up of 5 updates if it has one, and one of a schedule that watches the
/// other
/// losses.
fn each() -> Vec<String> {
    let examples = ScheduleConfig::examples(1.0, 100).into_iter();
    let tables = examples.map(|config| toml::to_string(&config).unwrap());
    let watching = "[reduce-on-plateau]\nrate = 1.0\npatience = 8\nwatch = \"training\"".to_owned();
    tables.chain([watching]).collect()
}

#[test]
fn the_examples_are_every_schedule_of_the_schema_with_the_rate_that_was_asked_for() {
    let schema = Schema::of::<ScheduleConfig>();
    let Some(Entry { kind: Kind::Choice(names), .. }) = schema.get("") else { panic!("a choice of tables") };
    for (rate, steps) in [(1.0, 100), (0.02, 12)] {
        let examples = ScheduleConfig::examples(rate, steps);
        assert_eq!(examples.iter().map(ScheduleConfig::name).collect::<Vec<_>>(), *names);
        for config in examples {
            assert_eq!(config.validate(steps), [], "{config:?}");
            let found = rates(&mut *config.build(steps), steps as usize);
            let highest = found.iter().copied().fold(0.0, f64::max);
            assert!((0.8 * rate..=rate * (1.0 + 1e-12)).contains(&highest), "{config:?}: {highest}");
        }
    }
}

/// What a schedule says it follows is what it follows.
#[test]
fn losses_change_the_rates_of_those_that_follow_them_and_of_no_other() {
    for config in ScheduleConfig::examples(1.0, 100) {
        let alone = rates(&mut *config.build(100), 100);
        let watched = watched_rates(&mut *config.build(100), 0..100);
        assert_eq!(config.is_by_time(), watched == alone, "{config:?}");
        assert_eq!(config.follows() == Follows::Losses, watched != alone, "{config:?}");
    }
}

/// A hundred updates, with losses that fall and stall, from `start` on.
fn watched_rates(schedule: &mut dyn Schedule, updates: std::ops::Range<u32>) -> Vec<f64> {
    let loss = |step: u32| 3.0 / (1.0 + f64::from((step % 50).min(12))) + f64::from(step * 7919 % 13) * 0.001;
    updates
        .map(|step| {
            if step.is_multiple_of(3) {
                schedule.observe_validation(loss(step));
            }
            schedule.observe_training(loss(step));
            schedule.next_rate()
        })
        .collect()
}

#[test]
fn a_restored_schedule_goes_on_without_a_changed_rate() {
    for table in &each() {
        let expected = watched_rates(&mut *schedule(table, 100), 0..100);
        let changes = expected.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes > 0 && expected.iter().all(|rate| *rate >= 0.0 && rate.is_finite()), "{table}: {expected:?}");
        for stop in [0, 1, 4, 5, 6, 17, 50, 93] {
            let mut first = schedule(table, 100);
            watched_rates(&mut *first, 0..stop);
            let text = first.state().to_string();
            let mut second = schedule(table, 100);
            second.restore(serde_json::from_str(&text).unwrap()).unwrap();
            let found = watched_rates(&mut *second, stop..100);
            assert_eq!(found, expected[stop as usize..], "{table}, stopped after {stop}");
        }
    }
}

#[test]
fn a_warm_up_rises_in_equal_parts_to_the_first_rate_of_any_schedule() {
    for table in each().iter().filter(|table| table.contains("warmup = 5")) {
        let found = watched_rates(&mut *schedule(table, 100), 0..6);
        let without = watched_rates(&mut *schedule(&table.replace("warmup = 5", "warmup = 0"), 95), 0..1);
        let parts: Vec<f64> = (1..=6).map(|part| without[0] * f64::from(part) / 6.0).collect();
        assert_rates(&found, &parts, table);
    }
}

#[test]
fn a_state_of_something_else_is_refused() {
    for table in &each() {
        let error = schedule(table, 100).restore(serde_json::json!({ "heat": 1.0 })).unwrap_err();
        assert!(error.to_string().contains("does not fit the configured schedule"), "{error}");
    }
}

#[test]
fn every_mutant_of_a_state_is_refused_or_is_the_state_from_then_on() {
    for table in [
        "[cosine]\nrate = 1.0\nwarmup = 5",
        "[error-floor]\nrate = 1.0\nwindow = 16",
        "[reduce-on-plateau]\nrate = 1.0\npatience = 2",
        "[non-monotone]\nrate = 1.0\npatience = 2\nwarmup = 5",
    ] {
        let mut whole = schedule(table, 100);
        watched_rates(&mut *whole, 0..17);
        let tally = kiln_hostile::each_mutant(&[whole.state().to_string().into()], Form::Text, |bytes| {
            let Ok(state) = serde_json::from_slice::<serde_json::Value>(bytes) else { return Fate::Refused };
            let mut restored = schedule(table, 100);
            if let Err(error) = restored.restore(state) {
                assert!(!error.to_string().is_empty());
                return Fate::Refused;
            }
            let mut again = schedule(table, 100);
            again.restore(restored.state()).expect("it is a schedule's own state");
            assert_eq!(again.state(), restored.state());
            assert_eq!(watched_rates(&mut *again, 17..60), watched_rates(&mut *restored, 17..60));
            Fate::Read
        });
        assert!(tally.read > 100 && tally.refused > 3000, "{table}: {tally:?}");
    }
}

#[test]
fn the_state_of_another_schedule_is_told_by_its_name() {
    let state = schedule("[constant]\nrate = 1.0", 100).state();
    let error = schedule("[cosine]\nrate = 1.0", 100).restore(state).unwrap_err().to_string();
    assert!(error.contains("that of [schedule.constant]") && error.ends_with("[schedule.cosine]"), "{error}");
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let keys = |table: &str| -> Vec<String> {
        let config: ScheduleConfig = toml::from_str(table).unwrap();
        config.validate(100).into_iter().map(|violation| violation.key).collect()
    };
    let cosine = "[cosine]\nfinal-rate = 1.0\nwarmup = 10\nsteps = 10";
    assert_eq!(keys(&format!("{cosine}\nrate = 0.5")), ["cosine.final-rate", "cosine.warmup"]);
    // A limit that a broken rate sets is not reported beside it.
    assert_eq!(keys(&format!("{cosine}\nrate = 0.0")), ["cosine.rate", "cosine.warmup"]);
    assert_eq!(keys("[piecewise]\nrates = []\nboundaries = []"), ["piecewise.rates"]);
    let piecewise = keys("[piecewise]\nrates = [1.0, -1.0]\nboundaries = [7, 7]");
    assert_eq!(piecewise, ["piecewise.rates[1]", "piecewise.boundaries", "piecewise.boundaries[1]"]);
}

#[test]
fn the_trigger_waits_for_a_loss_worse_than_an_old_one() {
    // Worked by hand for a patience of 2: the fifth loss is compared with 5 and 4, the sixth with 5, 4 and 3.
    let losses = [5.0, 4.0, 3.0, 3.5, 3.2, 3.1, 2.9, 3.15, 2.0];
    let triggered = [false, false, false, false, false, true, false, true, false];
    let mut trigger = NonMonotoneTrigger::new(2);
    for (index, (loss, expected)) in losses.into_iter().zip(triggered).enumerate() {
        assert_eq!(trigger.observe(loss), expected, "loss {index}");
        let text = serde_json::to_string(&trigger).unwrap();
        trigger = serde_json::from_str(&text).unwrap();
    }
    trigger.reset();
    assert!(!trigger.observe(9.0) && trigger.losses() == [9.0]);
}

#[test]
fn a_trigger_does_not_fire_before_it_has_more_losses_than_its_patience() {
    let mut trigger = NonMonotoneTrigger::new(5);
    let fired = (0..7).map(|index| trigger.observe(f64::from(index))).position(|fired| fired);
    // The first loss is the first that is older than the last five.
    assert_eq!(fired, Some(6));
}
