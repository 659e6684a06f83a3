use super::*;

fn problems(text: &str) -> String {
    Study::read(&Source::new("study.toml", text), &[])
        .map(|_| ())
        .map_err(|errors| errors.to_string())
        .expect_err("it is wrong")
}

const TRAINING: &str =
    "[optimizer.adamw]\n[schedule.constant]\nrate = 0.01\n[run]\nsteps = 10\nbatch = 2\ncontext = 8\n";

#[test]
fn all_mistakes_come_at_once() {
    let text = format!(
        "title = \"t\"\nseeds = 0\n{TRAINING}\
         [[models]]\nname = \"a\"\nmodel.lstm = {{ hidden = 0 }}\n\
         [[models]]\nname = \"a\"\nmodel.transformer = {{ layers = 1, heads = 2, width = 8 }}\n\
         [study.gradients]\nat = [5, 5, 20]\nlags = 8\nwindows = 1\n"
    );
    let words = problems(&text);
    for expected in [
        "`seeds` must be 1 or more, is 0",
        "`data` is missing: the models are trained on a text",
        "`tokenizer` is missing: the models are trained on a text",
        "`models[0].model.lstm.hidden` must be",
        "`models[1].name` is that of another model, `a`",
        "`study.gradients.at` must rise, but 5 stands before 5",
        "`study.gradients.at` must be at most `run.steps`, 10, is 20",
        "`study.gradients.lags` must be below `run.context`, 8, is 8",
        "`study.gradients.windows` must be 2 or more, is 1",
    ] {
        assert!(words.contains(expected), "{expected} is not in\n{words}");
    }
}

#[test]
fn what_a_study_cannot_use_is_said() {
    let with = |study: &str, model: &str, before: &str| {
        problems(&format!("title = \"t\"\n{before}{TRAINING}[[models]]\nname = \"a\"\nmodel.{model} = {{}}\n{study}\n"))
    };
    let text = "[data.builtin]\n[tokenizer.character]\n";
    let recall = with("[study.recall]\ntasks = [\"copy\"]\ndistances = [1]\n", "lstm", text);
    assert!(recall.contains("`data` must be left out: the study makes its own examples"), "{recall}");
    assert!(recall.contains("`study.recall.distances` must be 2 or more, is 1"), "{recall}");
    let unknown = with("[study.recall]\ntasks = [\"cpoy\"]\ndistances = [4]\n", "lstm", "");
    assert!(unknown.contains("copy") && unknown.contains("cpoy"), "{unknown}");
    let attention = with("[study.attention]\ntokens = 65\n", "gru", text);
    assert!(attention.contains("`models[0].model` has no attention"), "{attention}");
    assert!(attention.contains("`study.attention.tokens` must be in 2 ... 64, is 65"), "{attention}");
    let explosion = "[study.explosion]\nscales = [0.0]\nrates = []\nclip-norm = 1.0\nclip-value = -1.0\n";
    let explosion = with(explosion, "transformer", text);
    for expected in ["has no recurrent matrix to be scaled", "`study.explosion.rates` is empty", "clip-value"] {
        assert!(explosion.contains(expected), "{expected} is not in\n{explosion}");
    }
    let scaling = with("[study.scaling]\nparameters = [10, 20, 30]\n", "lstm", text);
    assert!(scaling.contains("needs 4 sizes or more for a law with 3 numbers, has 3"), "{scaling}");
    let none = with("", "lstm", text);
    assert!(none.contains("section [study] is missing"), "{none}");
}

#[test]
fn every_shipped_study_is_right_and_reads_back_equal() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/study");
    let (mut studies, mut listed) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&folder).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        match StudyFile::open(&path, &[]).unwrap_or_else(|errors| panic!("{errors}")) {
            StudyFile::Study(study) => {
                let mut read = Study::read(&Source::new("resolved", study.to_toml()), &[]).expect("it reads back");
                // Where paths were looked for is no key.
                read.data.iter_mut().for_each(|data| {
                    data.looked_in.clone_from(&study.data.as_ref().and_then(|data| data.looked_in.clone()))
                });
                assert_eq!(read, *study, "{}", path.display());
                studies.push(path);
            }
            StudyFile::Lecture(lecture) => listed.extend(lecture.studies),
        }
    }
    assert!(studies.len() >= 8, "{studies:?}");
    assert!(!listed.is_empty() && listed.iter().all(|name| studies.contains(&folder.join(name))), "{listed:?}");
}
