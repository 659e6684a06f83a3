//! Mutants of the saved state of every optimizer.

use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use kiln_hostile::{Fate, Form, each_mutant};
use kiln_storage::formats::{tensors_from_safetensors, tensors_to_safetensors};

use super::support::{Pieces, fixture, parameter};

#[test]
fn every_mutant_of_a_saved_state_is_refused_by_the_name_of_a_tensor_or_restored_to_the_bit() {
    let fixture = fixture();
    let parameters = [parameter("matrix", &[2, 3]), parameter("vector", &[3])];
    let mut optimizers = Vec::new();
    let mut valid = Vec::new();
    for (name, case) in &fixture.cases {
        let mut optimizer = case.config(name).build();
        let pieces = Pieces::new(&fixture.initial);
        let gradients = pieces.gradients(&fixture.gradients[0]);
        optimizer.update(pieces, gradients, 1.0, 0.1);
        valid.push(tensors_to_safetensors(&optimizer.state().unwrap(), &BTreeMap::new()).unwrap());
        optimizers.push(case.config(name));
    }
    let tally = each_mutant(&valid, Form::Bytes, |bytes| {
        let Ok(file) = tensors_from_safetensors(bytes) else { return Fate::Refused };
        let mut fate = Fate::Refused;
        // Each is given to every rule, also to those whose state it was never meant to be.
        for config in &optimizers {
            let mut restored = config.build();
            match restored.restore(file.tensors.clone(), 1, &parameters, &Device::flex()) {
                Ok(()) => {
                    let again = tensors_to_safetensors(&restored.state().unwrap(), &BTreeMap::new()).unwrap();
                    assert_eq!(again, tensors_to_safetensors(&flat(&file.tensors), &BTreeMap::new()).unwrap());
                    fate = Fate::Read;
                }
                Err(problem) => {
                    let problem = problem.to_string();
                    assert!(problem.starts_with("the optimizer state") && problem.contains('`'), "{problem}");
                    assert!(restored.state().unwrap().is_empty() && restored.step() == 0, "it was restored in part");
                }
            }
        }
        fate
    });
    assert!(tally.read > 100 && tally.refused > 5000, "{tally:?}");
}

/// Slots have one axis, and their numbers alone count.
fn flat(tensors: &BTreeMap<String, TensorData>) -> BTreeMap<String, TensorData> {
    let flat =
        |data: &TensorData| TensorData::from_bytes_vec(data.as_bytes().to_vec(), [data.num_elements()], data.dtype());
    tensors.iter().map(|(name, data)| (name.clone(), flat(data))).collect()
}
