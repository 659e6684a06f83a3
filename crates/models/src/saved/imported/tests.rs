//! Recurrent models of PyTorch (`scripts/reference/recurrent_import.py`), and mistakes in their names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::{Int, Tensor, TensorData};
use kiln_storage::formats::{TensorFile, tensors_to_safetensors};
use kiln_storage::{Which, read_safetensors};
use serde::Deserialize;
use serde_json::json;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recurrent").join(name)
}

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<i32>,
    logits: Vec<f32>,
}

fn names(family: RecurrentFamily, module: &str) -> RecurrentNames {
    let of_layer = |kind: &str| format!("{module}.{kind}_l{{layer}}");
    RecurrentNames {
        family,
        matrices: MatrixLayout::OutIn,
        gates: None,
        embedding: "embedding.weight".to_owned(),
        input_weight: of_layer("weight_ih"),
        hidden_weight: of_layer("weight_hh"),
        input_bias: Some(of_layer("bias_ih")),
        hidden_bias: Some(of_layer("bias_hh")),
        output_weight: Some("fc.weight".to_owned()),
        output_bias: Some("fc.bias".to_owned()),
    }
}

fn tokens() -> TokenTexts {
    let texts = json!(["<s>", "</s>", "a", "bb", "b", "[c]", "d", "e", "f", "g", "h"]);
    TokenTexts { texts, start: Some("<s>".to_owned()), end: Some("</s>".to_owned()) }
}

const FAMILIES: [(RecurrentFamily, &str); 3] =
    [(RecurrentFamily::Rnn, "rnn"), (RecurrentFamily::Lstm, "lstm"), (RecurrentFamily::Gru, "gru")];

fn logits(saved: &SavedModel, tokens: &[i32]) -> Vec<f32> {
    let ids = Tensor::<1, Int>::from_data(tokens, &Device::flex()).unsqueeze::<2>();
    let (logits, _) = saved.model.read(ids, &[tokens.len()], saved.model.initial_state(1));
    logits.into_data().iter::<f32>().collect()
}

#[test]
fn the_logits_are_those_of_pytorch() {
    let all = std::fs::read_to_string(fixture("logits.json")).unwrap();
    let mut all: BTreeMap<String, Expected> = serde_json::from_str(&all).unwrap();
    for (family, name) in FAMILIES {
        let expected = all.remove(name).unwrap();
        let path = fixture(&format!("{name}.safetensors"));
        let saved = import_recurrent(&path, &names(family, name), &tokens(), &Device::flex()).unwrap();
        let found = logits(&saved, &expected.tokens);
        for (found, expected) in found.iter().zip(&expected.logits) {
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, not {expected}");
        }
        assert_eq!((saved.start.clone(), saved.end.clone()), (vec![0], vec![1]));
        // Written as Kiln's own and read again.
        let folder = tempfile::tempdir().unwrap();
        write_model(&saved, folder.path()).unwrap();
        let again = SavedModel::open(folder.path(), Which::Best, &Device::flex()).unwrap();
        assert_eq!(logits(&again, &expected.tokens), found, "{name}");
        assert_eq!((again.start, again.end), (vec![0], vec![1]));
        assert_eq!(again.tokenizer.encode("abb[c]b").unwrap(), [2, 3, 5, 4]);
        assert_eq!(again.tokenizer.decode(&[2, 3, 5, 4]), "abb[c]b");
    }
}

#[test]
fn matrices_and_gates_may_be_in_another_order() {
    let folder = tempfile::tempdir().unwrap();
    for (family, name) in [FAMILIES[1], FAMILIES[2]] {
        let path = fixture(&format!("{name}.safetensors"));
        let as_it_is = import_recurrent(&path, &names(family, name), &tokens(), &Device::flex()).unwrap();
        // The last gate first, and matrices turned.
        let mut file = read_safetensors(&path).unwrap();
        let gates = if name == "lstm" { 4 } else { 3 };
        for (key, data) in &mut file.tensors {
            let shape = data.shape().to_vec();
            let numbers: Vec<f32> = data.iter::<f32>().collect();
            let is_of_layer = key.starts_with(name);
            let turned = if is_of_layer {
                let block = numbers.len() / gates;
                [&numbers[numbers.len() - block..], &numbers[..numbers.len() - block]].concat()
            } else {
                numbers
            };
            let is_product = is_of_layer || key == "fc.weight";
            *data = match shape[..] {
                [rows, columns] if is_product => {
                    let turned = Tensor::<2>::from_data(TensorData::new(turned, [rows, columns]), &Device::flex());
                    turned.transpose().into_data()
                }
                _ => TensorData::new(turned, shape),
            };
        }
        let other = folder.path().join("other.safetensors");
        let TensorFile { tensors, metadata, .. } = file;
        std::fs::write(&other, tensors_to_safetensors(&tensors, &metadata).unwrap()).unwrap();
        let order = if name == "lstm" {
            vec![Gate::Output, Gate::Input, Gate::Forget, Gate::Candidate]
        } else {
            vec![Gate::Candidate, Gate::Reset, Gate::Update]
        };
        let turned = RecurrentNames { matrices: MatrixLayout::InOut, gates: Some(order), ..names(family, name) };
        let found = import_recurrent(&other, &turned, &tokens(), &Device::flex()).unwrap();
        assert_eq!(logits(&found, &[2, 3, 4]), logits(&as_it_is, &[2, 3, 4]), "{name}");
    }
}

#[test]
fn mistakes_are_named() {
    let path = fixture("lstm.safetensors");
    let right = names(RecurrentFamily::Lstm, "lstm");
    let refused = |names: RecurrentNames, tokens: TokenTexts| {
        import_recurrent(&path, &names, &tokens, &Device::flex()).err().expect("it is wrong").to_string()
    };
    let cases = [
        (
            RecurrentNames { embedding: "table".to_owned(), ..right.clone() },
            "no tensor `table`, which `embedding` names",
        ),
        (RecurrentNames { input_weight: "fc.weight".to_owned(), ..right.clone() }, "is expected"),
        (RecurrentNames { matrices: MatrixLayout::InOut, ..right.clone() }, "`matrices` says which axis"),
        (RecurrentNames { embedding: "fc.bias".to_owned(), ..right.clone() }, "a matrix is expected"),
        (RecurrentNames { gates: Some(vec![Gate::Input]), ..right.clone() }, "`gates` must name each of input"),
        (RecurrentNames { output_bias: Some("fc.weight".to_owned()), ..right.clone() }, "[11] is expected"),
    ];
    for (names, words) in cases {
        let said = refused(names, tokens());
        assert!(said.contains(words) && said.contains("lstm.safetensors"), "{words}: {said}");
    }
    for (texts, words) in [
        (json!({ "a": 0, "b": 2 }), "neither a list of texts nor a table"),
        (json!("abc"), "neither a list of texts nor a table"),
        (json!((0..12).map(|n| n.to_string()).collect::<Vec<_>>()), "no token \"<s>\""),
        (
            json!(["<s>", "</s>", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]),
            "there are 12, and the model knows 11",
        ),
    ] {
        let said = refused(right.clone(), TokenTexts { texts, ..tokens() });
        assert!(said.contains(words), "{words}: {said}");
    }
}
