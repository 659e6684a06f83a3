//! Schedules against outside figures, and their restoration.

use burn::optim::lr_scheduler::LrScheduler;

use super::*;

fn cosine() -> ScheduleConfig {
    ScheduleConfig::Cosine(CosineConfig { rate: 1e-3, final_rate: 1e-4, warmup: 100, steps: None })
}

fn rates(schedule: &mut dyn Schedule, count: usize) -> Vec<f64> {
    (0..count).map(|_| schedule.next_rate()).collect()
}

#[test]
fn cosine_with_warmup_gives_nanogpts_rates() {
    #[derive(serde::Deserialize)]
    struct Fixture {
        cosine_with_warmup: Case,
    }
    #[derive(serde::Deserialize)]
    struct Case {
        steps: Vec<usize>,
        rates: Vec<f64>,
    }
    let fixture: Fixture = serde_json::from_str(include_str!("../../fixtures/schedules.json")).unwrap();
    let case = fixture.cosine_with_warmup;
    let found = rates(&mut *cosine().build(2000), 5001);
    for (step, expected) in case.steps.iter().zip(case.rates) {
        assert!((found[*step] - expected).abs() < 1e-13, "step {step}: {} instead of {expected}", found[*step]);
    }
}

#[test]
fn constant_rises_in_equal_parts_and_stays() {
    let config = ScheduleConfig::Constant(ConstantConfig { rate: 20.0, warmup: 3 });
    assert_eq!(rates(&mut *config.build(10), 6), [5.0, 10.0, 15.0, 20.0, 20.0, 20.0]);
}

#[test]
fn a_restored_schedule_goes_on_without_a_changed_rate() {
    let mut whole = cosine().build(2000);
    let expected = rates(&mut *whole, 2000);
    for stop in [0, 1, 57, 100, 1234] {
        let mut first = cosine().build(2000);
        rates(&mut *first, stop);
        let mut second = cosine().build(2000);
        second.restore(first.state()).unwrap();
        assert_eq!(rates(&mut *second, 2000 - stop), expected[stop..]);
    }
}

#[test]
fn a_state_of_something_else_is_refused() {
    let error = cosine().build(10).restore(serde_json::json!({ "floor": 1.0 })).unwrap_err();
    assert!(error.to_string().contains("does not fit the configured schedule"), "{error}");
}

#[test]
fn burns_learner_and_the_loop_share_one_schedule() {
    let shared = SharedSchedule::new(ScheduleConfig::Constant(ConstantConfig { rate: 4.0, warmup: 1 }).build(10));
    let mut of_the_learner = shared.clone();
    assert_eq!(of_the_learner.step(), 2.0);
    assert_eq!(shared.get().next_rate(), 4.0);
    assert_eq!(shared.get().state(), serde_json::json!({ "step": 2 }));
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let keys = |rate, final_rate| -> Vec<String> {
        let config = ScheduleConfig::Cosine(CosineConfig { rate, final_rate, warmup: 10, steps: Some(10) });
        config.validate(1000).into_iter().map(|violation| violation.key).collect()
    };
    assert_eq!(keys(0.5, 1.0), ["cosine.final-rate", "cosine.warmup"]);
    // What a broken rate is compared with is not told beside it.
    assert_eq!(keys(0.0, 1.0), ["cosine.rate", "cosine.warmup"]);
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
