//! Rules between sections.

use super::support::{read, right_text};

#[test]
fn an_average_of_an_average_is_refused() {
    for (name, refused) in [("schedule-free-sgd", true), ("schedule-free-adamw", true), ("sgd", false), ("muon", false)]
    {
        let text = right_text(&format!("optimizer.{name}")) + "[averaging.exponential]\n";
        match read(&text) {
            Ok(_) => assert!(!refused, "{name}"),
            Err(errors) => {
                let reported = errors.to_string();
                assert!(refused, "{reported}");
                let words =
                    format!("`averaging` cannot be used with [optimizer.{name}], which averages the weights itself");
                assert!(reported.contains(&words), "{reported}");
            }
        }
    }
}

#[test]
fn layers_are_computed_again_in_transformers_alone() {
    for family in ["rnn", "lstm", "gru", "transformer"] {
        let text = right_text(&format!("model.{family}")).replace("[run]", "[run]\nrecompute = true");
        match read(&text) {
            Ok(config) => assert!(family == "transformer" && config.run.recompute),
            Err(errors) => {
                let reported = errors.to_string();
                assert!(family != "transformer" && reported.contains("`run.recompute` is true"), "{reported}");
            }
        }
    }
}

#[test]
fn a_state_that_holds_the_weights_is_not_rounded() {
    for (name, refused) in [("schedule-free-sgd", true), ("schedule-free-adamw", true), ("sgd", false), ("muon", false)]
    {
        let text = right_text(&format!("optimizer.{name}")).replace("[run]", "[run]\noptimizer-state = \"8-bit\"");
        assert_eq!(read(&text).is_err(), refused, "{name}");
    }
}
