//! `kiln eval MODEL --tasks FILE`: how often a model gives the right answer.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use kiln_inference::{Answer, PreparedTasks, Proportion, TaskModel, TaskSource, TaskSummary, Tasks};
use kiln_models::saved::SavedModel;
use serde::Serialize;

use crate::exit::Exit;
use crate::piped::Readable;
use crate::terminal::{progress_bar, say};
use crate::usage::at_least_one;

const HEADING: &str = "Tasks";

/// Arguments about questions whose answers are known.
#[derive(Debug, Args)]
pub(super) struct TaskArguments {
    /// Ask the questions of this file, one as JSON in each line, and count right answers:
    /// `{"prompt": "...", "choices": ["...", ...], "answer": 0}` or `{"prompt": "...", "expected": "..."}`; `-`
    /// is stdin
    #[arg(
        long, value_name = "FILE", help_heading = HEADING,
        conflicts_with_all = ["files", "data", "per_token", "streams"]
    )]
    tasks: Option<PathBuf>,

    /// Put K solved examples before each question: the first ones of the file, which aren't asked then
    #[arg(long, value_name = "K", help_heading = HEADING, default_value_t = 0, requires = "tasks")]
    shots: usize,

    /// Take the examples from this file, and ask all questions of the other one
    #[arg(long, value_name = "FILE", help_heading = HEADING, requires = "shots")]
    shots_from: Option<PathBuf>,

    /// Ask N questions at most, the first ones
    #[arg(long, value_name = "N", help_heading = HEADING, value_parser = at_least_one(), requires = "tasks")]
    limit: Option<u64>,

    /// The most tokens of an answer that the model writes
    #[arg(
        long, value_name = "N", help_heading = HEADING, default_value_t = 64, value_parser = at_least_one(),
        requires = "tasks"
    )]
    max_tokens: u64,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    tasks: &'a Path,
    shots: usize,
    /// Prompts that lost their beginning, since the model reads no more.
    cut: usize,
    #[serde(flatten)]
    summary: &'a TaskSummary,
    answers: &'a [Answer],
}

impl TaskArguments {
    /// The tasks, if there are any: all mistakes in their lines are found before a model is opened.
    pub(super) fn read(&self) -> anyhow::Result<Option<Tasks>> {
        let Some(file) = &self.tasks else { return Ok(None) };
        let limit = self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let file = Readable::of(file)?;
        let examples = self.shots_from.as_deref().map(Readable::of).transpose()?;
        let shots_from = examples.as_ref().map(Readable::path);
        let source = TaskSource { file: &file.path(), shots: self.shots, shots_from: shots_from.as_deref(), limit };
        Ok(Some(Tasks::read(&source)?))
    }

    /// Asks, and prints how often the model was right.
    pub(super) fn measure(&self, saved: &SavedModel, tasks: &Tasks, json: bool) -> anyhow::Result<Exit> {
        let max_tokens = usize::try_from(self.max_tokens).unwrap_or(usize::MAX);
        let prepared = PreparedTasks::new(TaskModel::of(saved), tasks, max_tokens)?;
        let (questions, cut) = (tasks.questions.len(), prepared.cut());
        if let (Some(window), 1..) = (saved.model.longest_window(), cut) {
            say(&format!(
                "warning: {cut} of {questions} prompts don't fit into the {window} tokens that the model reads with \
                 their answers: their beginnings are left out"
            ));
        }
        let bar = progress_bar(questions as u64, "[{bar:30}] {human_pos}/{human_len} questions {eta} left");
        let answers = prepared.answer(&mut |done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        let summary = TaskSummary::of(&answers);
        if json {
            let (file, shots) = (self.tasks.as_deref().unwrap_or(&tasks.file), tasks.shots.len());
            let report = Report { tasks: file, shots, cut, summary: &summary, answers: &answers };
            let mut stdout = std::io::stdout().lock();
            serde_json::to_writer(&mut stdout, &report)?;
            writeln!(stdout)?;
        } else {
            print(&summary)?;
        }
        Ok(Exit::Done)
    }
}

fn print(summary: &TaskSummary) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{:<22}  {:>8}  {:<18}  right of", "", "accuracy", "95 % interval")?;
    let mut row = |name: &str, proportion: &Proportion| {
        let Proportion { right, questions, accuracy, low, high } = proportion;
        writeln!(stdout, "{name:<22}  {accuracy:>8.4}  {low:.4} to {high:.4}    {right} of {questions}")
    };
    if let Some(choice) = &summary.choice {
        row("likeliest choice", &choice.by_probability)?;
        row("likeliest per byte", &choice.by_byte)?;
    }
    if let Some(generation) = &summary.generation {
        row("written", generation)?;
    }
    if let Some(choice) = &summary.choice {
        writeln!(stdout, "{:<22}  {:>8.4}", "a choice by chance", choice.by_chance)?;
    }
    Ok(())
}
