//! Training further: warm starts, kept zeros, teachers, frozen parts, through the binary.

use std::fs;

use crate::support::{Finished, Workshop, newest_checkpoint};

const DATA: &str = "[data.builtin]\ncharacters = 20_000\nseed = 1\n";
const REST: &str = "[optimizer.adamw]\n[schedule.constant]\nrate = 3e-3\n[run]\nsteps = 20\nbatch = 8\ncontext = 32\n\
                    evaluate-every = 10\ncheckpoint-every = 10\nlog-every = 1\n";

/// A folder with a transformer that was trained for a while, as `runs/base`.
fn with_base() -> Workshop {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    train(&workshop, "transformer.toml", "base", &["--set", "run.sample-every=1000"]).success();
    workshop
}

fn train(workshop: &Workshop, config: &str, run: &str, more: &[&str]) -> Finished {
    workshop.kiln(&[&["train", config, "--run", run, "--device", "cpu"], more].concat())
}

/// Trains with these sections before those that are always the same.
fn tune(workshop: &Workshop, run: &str, sections: &str) -> Finished {
    workshop.write("tune.toml", format!("{sections}\n{DATA}{REST}"));
    train(workshop, "tune.toml", run, &[])
}

/// A number of a line of JSON.
fn number(line: &str, key: &str) -> f64 {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    value[key].as_f64().unwrap_or_else(|| panic!("no `{key}` in {line}"))
}

fn evaluated(workshop: &Workshop, model: &str, more: &[&str]) -> f64 {
    let finished = workshop.kiln(&[&["eval", model, "--json", "--device", "cpu"], more].concat()).success();
    number(&finished.stdout, "loss")
}

/// The lines of a run's log that have this key.
fn logged(workshop: &Workshop, run: &str, key: &str) -> Vec<f64> {
    let log = fs::read_to_string(workshop.path(&format!("runs/{run}/metrics.jsonl"))).expect("there is a log");
    log.lines().filter(|line| line.contains(key)).map(|line| number(line, key)).collect()
}

#[test]
fn without_a_model_and_a_tokenizer_both_are_those_of_the_start_and_training_begins_at_its_loss() {
    let workshop = with_base();
    let tuned = tune(&workshop, "tuned", "[start]\nfrom = 'base'").success();
    assert!(tuned.stderr.contains("start: runs/base/checkpoints/step-00000060 (SHA-256 "), "{}", tuned.stderr);
    assert!(tuned.stderr.contains("taken: "), "{}", tuned.stderr);
    assert!(!tuned.stderr.contains("left: ") && !tuned.stderr.contains("new: "), "{}", tuned.stderr);

    // With a rate of next to nothing the weights are still those of the start.
    let still = ["--set", "schedule.constant.rate=1e-30", "--set", "run.steps=1"];
    train(&workshop, "tune.toml", "still", &still).success();
    let (base, start) = (evaluated(&workshop, "base", &[]), evaluated(&workshop, "runs/still", &[]));
    assert!(base.to_bits() == start.to_bits(), "{base} {start}");
    assert!(logged(&workshop, "still", "valid_loss")[0].to_bits() == base.to_bits());
    assert!(evaluated(&workshop, "tuned", &[]) < base);

    let inspected = workshop.kiln(&["inspect", "tuned"]).success().stdout;
    assert!(inspected.contains("\nfrom        runs/base/checkpoints/step-00000060, SHA-256 "), "{inspected}");
    let config = fs::read_to_string(workshop.path("runs/tuned/config.toml")).expect("it is there");
    assert!(config.contains("[model.transformer]") && config.contains("width = 32"), "{config}");
}

#[test]
fn a_run_resumes_without_the_model_that_it_started_from_and_ends_with_the_same_bits() {
    let workshop = with_base();
    let sections =
        "[start]\nfrom = 'base'\nkeep-zeros = true\n[train-only]\nlast-layers = 1\n[rates]\nlayer-decay = 0.9";
    tune(&workshop, "whole", sections).success();
    train(&workshop, "tune.toml", "stopped", &["--stop-after", "7"]).success();
    fs::remove_dir_all(workshop.path("runs/base")).expect("it can be removed");
    workshop.kiln(&["resume", "stopped", "--device", "cpu"]).success();
    let [whole, stopped] = ["whole", "stopped"].map(|run| newest_checkpoint(&workshop.path(&format!("runs/{run}"))));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let [whole, stopped] = [&whole, &stopped].map(|folder| fs::read(folder.join(file)).expect("it is there"));
        assert!(whole == stopped, "`{file}` differs");
    }
}

#[test]
fn adapters_are_trained_resumed_sampled_from_and_merged() {
    let workshop = with_base();
    let sections = "[start]\nfrom = 'base'\n[adapter.lora]\nrank = 4\ndropout = 0.1\n";
    let tuned = tune(&workshop, "whole", sections).success();
    assert!(tuned.stderr.contains("base: runs/base/"), "{}", tuned.stderr);
    train(&workshop, "tune.toml", "stopped", &["--stop-after", "7"]).success();
    workshop.kiln(&["resume", "stopped", "--device", "cpu"]).success();
    let [whole, stopped] = ["whole", "stopped"].map(|run| newest_checkpoint(&workshop.path(&format!("runs/{run}"))));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let [whole, stopped] = [&whole, &stopped].map(|folder| fs::read(folder.join(file)).expect("it is there"));
        assert!(whole == stopped, "`{file}` differs");
    }
    let adapted = evaluated(&workshop, "whole", &[]);
    assert!(adapted < evaluated(&workshop, "base", &[]));
    let inspected = workshop.kiln(&["inspect", &whole.to_string_lossy()]).success().stdout;
    assert!(inspected.contains("\nadapter     {\"lora\":{\"rank\":4,\"dropout\":0.1,"), "{inspected}");
    assert!(inspected.contains("blocks.0.attention.output.adapter.down"), "{inspected}");
    // The base is in its own file.
    assert!(inspected.contains("/runs/base/checkpoints/step-00000060, SHA-256 "), "{inspected}");
    assert!(!inspected.contains("blocks.0.attention.output.weight"), "{inspected}");

    let refused = workshop.kiln(&["export", "whole", "--format", "hf", "--output", "exported"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("it has adapters; `kiln merge MODEL --run NAME` puts"), "{}", refused.stderr);

    let merged = workshop.kiln(&["merge", "whole", "--run", "merged"]).success();
    assert!(merged.stderr.contains("wrote runs/merged; `kiln sample runs/merged`"), "{}", merged.stderr);
    assert!((evaluated(&workshop, "merged", &[]) - adapted).abs() < 1e-5);
    let inspected = workshop.kiln(&["inspect", &newest_checkpoint(&workshop.path("runs/merged")).to_string_lossy()]);
    assert!(!inspected.success().stdout.contains("adapter"));
    let config = fs::read_to_string(workshop.path("runs/merged/config.toml")).expect("it is there");
    assert!(!config.contains("adapter"), "{config}");
    workshop.kiln(&["export", "merged", "--format", "hf", "--output", "exported"]).success();
    let again = workshop.kiln(&["merge", "merged", "--run", "twice"]);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    assert!(again.stderr.contains("has no adapters, so that there is nothing to merge"), "{}", again.stderr);

    // Packed matrices with adapters beside them, and a start from a model with adapters, which are merged first.
    let packed = evaluated(&workshop, "whole", &["--precision", "q8_0"]);
    assert!((packed - adapted).abs() < 0.02, "{packed} {adapted}");
    tune(&workshop, "further", "[start]\nfrom = 'whole'\n[adapter.lora]\nrank = 2\ntargets = ['*attention*']")
        .success();
    assert!((logged(&workshop, "further", "valid_loss")[0] - adapted).abs() < 0.5);
    let still = ["--set", "schedule.constant.rate=1e-30", "--set", "run.steps=1"];
    train(&workshop, "tune.toml", "still", &still).success();
    assert!((evaluated(&workshop, "still", &[]) - adapted).abs() < 1e-5);
}

#[test]
fn the_base_of_adapters_may_move_and_no_other_takes_its_place() {
    let workshop = with_base();
    train(&workshop, "transformer.toml", "other", &["--set", "seed=9", "--set", "run.sample-every=1000"]).success();
    tune(&workshop, "whole", "[start]\nfrom = 'base'\n[adapter.lora]\nrank = 4\n").success();
    train(&workshop, "tune.toml", "stopped", &["--stop-after", "7"]).success();
    let (loss, merged) = (evaluated(&workshop, "whole", &[]), ["merge", "whole", "--run", "merged"]);
    workshop.kiln(&merged).success();

    // Moved together, they find one another.
    fs::create_dir(workshop.path("elsewhere")).expect("a folder can be made");
    fs::rename(workshop.path("runs"), workshop.path("elsewhere/runs")).expect("it can be renamed");
    assert!(evaluated(&workshop, "elsewhere/runs/whole", &[]).to_bits() == loss.to_bits());
    fs::rename(workshop.path("elsewhere/runs"), workshop.path("runs")).expect("it can be renamed");

    fs::rename(workshop.path("runs/base"), workshop.path("moved")).expect("it can be renamed");
    for command in
        [&["eval", "whole"][..], &["sample", "whole"], &["resume", "stopped"], &["merge", "whole", "--run", "x"]]
    {
        let refused = workshop.kiln(command);
        assert_eq!(refused.code, Some(3), "{command:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("/base/checkpoints/step-00000060` (SHA-256 "), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("but there is no `") && refused.stderr.contains("--base MODEL"),
            "{}",
            refused.stderr
        );
    }
    let other = workshop.kiln(&["eval", "whole", "--base", "other"]);
    assert_eq!(other.code, Some(3), "{}", other.stderr);
    assert!(other.stderr.contains("is another model, with the SHA-256 "), "{}", other.stderr);
    assert!(evaluated(&workshop, "whole", &["--base", "moved"]).to_bits() == loss.to_bits());
    workshop.kiln(&["sample", "whole", "--base", "moved", "--max-tokens", "5", "--device", "cpu"]).success();
    workshop.kiln(&["resume", "stopped", "--device", "cpu", "--set", "start.from='moved'"]).success();
    // From then on it is found where it was named.
    assert!((evaluated(&workshop, "stopped", &[]) - loss).abs() < 1e-12);
    assert!((evaluated(&workshop, "merged", &[]) - loss).abs() < 1e-5);
}

#[test]
fn a_model_that_another_program_could_have_saved_is_trained_further() {
    let workshop = with_base();
    for (form, path) in [("hf", "exported"), ("gguf", "exported.gguf")] {
        workshop.kiln(&["export", "base", "--output", path, "--format", form]).success();
        let run = format!("from-{form}");
        let sections = format!("[start]\nfrom = '{path}'");
        let tuned = tune(&workshop, &run, &sections);
        assert_eq!(tuned.code, Some(0), "{form}: {}", tuned.stderr);
        assert!(evaluated(&workshop, &run, &[]) < evaluated(&workshop, "base", &[]), "{form}");
    }
}

#[test]
fn a_teacher_is_logged_recorded_and_looked_at_again() {
    let workshop = with_base();
    let sections =
        "[distillation]\nteacher = 'base'\n[tokenizer.file]\npath = 'base'\n[model.gru]\nlayers = 1\nhidden = 16";
    let taught = tune(&workshop, "taught", sections).success();
    let said = "teacher: runs/base/checkpoints/step-00000060 (SHA-256 ";
    assert!(taught.stderr.contains(said) && taught.stderr.contains("temperature 2, weight 0.5"), "{}", taught.stderr);
    let [loss, hard, soft] = ["train_loss", "hard_loss", "soft_loss"].map(|key| logged(&workshop, "taught", key));
    assert_eq!((loss.len(), hard.len(), soft.len()), (20, 20, 20));
    assert!((loss[19] - 0.5 * hard[19] - 0.5 * soft[19]).abs() < 1e-6 && soft[19] < soft[0]);
    let valid = *logged(&workshop, "taught", "valid_loss").last().expect("it was evaluated");
    assert!((valid - evaluated(&workshop, "taught", &["--checkpoint", "last"])).abs() < 1e-9);
    let inspected = workshop.kiln(&["inspect", "taught"]).success().stdout;
    assert!(inspected.contains("\nteacher     runs/base/checkpoints/step-00000060, SHA-256 "), "{inspected}");

    train(&workshop, "tune.toml", "stopped", &["--stop-after", "7"]).success();
    // Under the same name there is another model now.
    fs::rename(workshop.path("runs/base"), workshop.path("runs/first")).expect("it can be renamed");
    train(&workshop, "transformer.toml", "base", &["--set", "seed=9"]).success();
    let refused = workshop.kiln(&["resume", "stopped", "--device", "cpu"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("SHA-256 of the teacher: "), "{}", refused.stderr);
    let moved = ["resume", "stopped", "--device", "cpu", "--set", "distillation.teacher='runs/first'"];
    workshop.kiln(&moved).success();
    let [whole, stopped] = ["taught", "stopped"].map(|run| newest_checkpoint(&workshop.path(&format!("runs/{run}"))));
    let [whole, stopped] = [whole, stopped].map(|folder| fs::read(folder.join("model.safetensors")).expect("a file"));
    assert!(whole == stopped);
}

#[test]
fn what_does_not_fit_is_said_before_there_is_a_run() {
    let workshop = with_base();
    let model = "[tokenizer.file]\npath = 'base'\n[model.transformer]\nlayers = 1\nheads = 2\nwidth = 32\n";
    let other = "[tokenizer.byte]\n[model.gru]\nlayers = 1\nhidden = 16\n";
    for (sections, code, words) in [
        (format!("[start]\nfrom = 'base'\n{model}"), 2, "`model.transformer.layers` is 1, and 2 there"),
        ("[start]\nfrom = 'base'\nonly = ['layers.*']".to_owned(), 2, "`start.only`: `layers.*` fits no parameter of"),
        ("[start]\nfrom = 'nowhere'".to_owned(), 3, "there is no `nowhere`"),
        (format!("[start]\nfrom = 'nowhere'\n{model}"), 3, "there is no `nowhere`"),
        (format!("[distillation]\nteacher = 'nowhere'\n{model}"), 3, "there is no `nowhere`"),
        (
            format!("[distillation]\nteacher = 'base'\n{other}"),
            2,
            "reads other tokens than the model that it is to teach",
        ),
        (
            format!("[distillation]\nteacher = 'base'\ntemperature = 0.0\nweight = 2.0\n{model}"),
            2,
            "`distillation.temperature` must be above 0, is 0",
        ),
        (format!("[train-only]\nparameters = ['*.gain']\n{model}"), 2, "`train-only.parameters`: `*.gain` fits no"),
        (format!("[train-only]\nlast-layers = 5\n{model}"), 2, "`train-only.last-layers` is 5, but the model has 1"),
        (
            "[start]\nfrom = 'base'\n[adapter.lora]\nrank = 4\ntargets = ['*.query']".to_owned(),
            2,
            "`adapter.lora.targets`: `*.query` fits no matrix that can have an adapter; those are `blocks.0.attention",
        ),
        (
            "[start]\nfrom = 'base'\n[adapter.lora]\nrank = 33".to_owned(),
            2,
            "`adapter.lora.rank` is 33, but `blocks.0.attention.query_key_value.weight` has 32 inputs and 96 outputs",
        ),
        (
            "[start]\nfrom = 'base'\nexcept = ['final*']\n[adapter.lora]\nrank = 4".to_owned(),
            2,
            "`adapter.lora` is for the whole start model: what `start.only` and `start.except` leave",
        ),
        (
            "[start]\nfrom = 'base'\n[tokenizer.byte]\n[adapter.lora]\nrank = 4".to_owned(),
            2,
            "adapters need its tokenizer, which has ",
        ),
        (format!("[adapter.lora]\nrank = 4\n{model}"), 2, "`adapter.lora` needs `[start]`: drawn weights would stay"),
        (
            format!("[start]\nfrom = 'base'\nkeep-zeros = true\n[adapter.lora]\nrank = 4\n{model}"),
            2,
            "`adapter.lora` can't be trained with `start.keep-zeros`",
        ),
        (
            format!("[start]\nfrom = 'base'\n[adapter.lora]\nrank = 4\n[train-only]\nlast-layers = 1\n{model}"),
            2,
            "`adapter.lora` is all that is trained",
        ),
    ] {
        let refused = tune(&workshop, "refused", &sections);
        assert!(refused.stderr.contains(words), "{sections}: {}", refused.stderr);
        assert_eq!(refused.code, Some(code), "{sections}: {}", refused.stderr);
        assert!(!workshop.path("runs/refused").exists(), "{sections}");
    }
}
