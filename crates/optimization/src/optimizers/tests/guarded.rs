//! Updates of which the device decides whether they are made.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::support::{Pieces, fixture};
use crate::optimizers::*;

/// The guard of an update with this loss, whose gradients are halved.
fn guard(loss: f32, before: Option<&Guard>) -> Guard {
    Guard::new(Tensor::from_data([loss, 2.0], &Device::flex()), Some(1.0 + 5e-7), before)
}

fn weights(pieces: &Pieces) -> [TensorData; 2] {
    [pieces.valid().matrix.val().into_data(), pieces.valid().vector.val().into_data()]
}

/// What is not made is followed by another one that is not made, as when a device works ahead; both are taken back.
#[test]
fn updates_that_are_not_made_leave_no_trace_in_any_optimizer() {
    let fixture = fixture();
    for (name, case) in &fixture.cases {
        let (mut plain, mut guarded) = (case.config(name).build(), case.config(name).build());
        let (mut expected, mut pieces) = (Pieces::new(&fixture.initial), Pieces::new(&fixture.initial));
        for (step, given) in fixture.gradients.iter().enumerate() {
            let rate = fixture.rates[step];
            if step % 3 == 0 {
                let (state, before) = (guarded.state().unwrap(), weights(&pieces));
                let marks = [guarded.host_state(), guarded.host_state()];
                let bad = guard(f32::NAN, None);
                let spoiled = pieces.gradients(&given.map(|_| f64::NAN));
                pieces = guarded.update(pieces, spoiled, bad.clone(), rate);
                let good = pieces.gradients(given);
                pieces = guarded.update(pieces, good, guard(1.0, Some(&bad)), rate);
                marks.into_iter().rev().for_each(|mark| guarded.take_back(mark));
                assert_eq!(guarded.step(), step as u64, "{name}");
                assert_eq!((guarded.state().unwrap(), weights(&pieces)), (state, before), "{name}, step {step}");
            }
            let gradients = pieces.gradients(given);
            pieces = guarded.update(pieces, gradients, guard(1.0, None), rate);
            let gradients = expected.gradients(given);
            expected = plain.update(expected, gradients, clip_coefficient(2.0, Some(1.0 + 5e-7)), rate);
            assert_eq!(weights(&pieces), weights(&expected), "{name}, step {step}");
            assert_eq!(guarded.state().unwrap(), plain.state().unwrap(), "{name}, step {step}");
        }
    }
}
