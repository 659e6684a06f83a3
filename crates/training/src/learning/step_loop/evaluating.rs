//! What is done after a step: evaluations, samples, checkpoints, each if it is due.

use std::time::Instant;

use super::TrainingLoop;
use kiln_models::LanguageModel;

use crate::evaluation::{Evaluation, Plan, evaluate_as};
use crate::learning::TrainError;
use crate::learning::error::Fault;
use crate::learning::monitor::Monitor;
use crate::learning::observer::Event;
use crate::run::{Best, EvaluationEntry, TranslationScores};

impl TrainingLoop {
    /// Evaluates, samples and saves if that is due after this step; whether the evaluation gave a finite number.
    pub(super) fn evaluate_sample_and_save(&mut self, monitor: &mut dyn Monitor) -> Result<bool, TrainError> {
        let (step, last) = (self.state.step, self.state.step == self.run.steps);
        let is_due = |every: u64| last || step % every == 0;
        let (evaluates, saves) = (self.is_evaluation_due(), is_due(self.run.checkpoint_every));
        let samples = self.run.sample_every.is_some_and(is_due);
        if evaluates {
            let started = Instant::now();
            if !self.evaluate(monitor)? {
                return Ok(false);
            }
            self.clock.evaluating.add(started.elapsed());
        }
        if samples {
            let started = Instant::now();
            self.sample();
            self.clock.sampling.add(started.elapsed());
        }
        // What is saved during faults might be what they come from.
        if saves && (last || self.state.faults.in_a_row == 0) {
            let started = Instant::now();
            self.save()?;
            self.clock.saving.add(started.elapsed());
        }
        if evaluates && !last {
            monitor.begin_interval(step);
        }
        Ok(true)
    }

    /// Whether a step is followed by an evaluation, a sample, a checkpoint or the end of the session: it is completed
    /// before the next one begins.
    pub(super) fn is_something_due_after(&self, step: u64) -> bool {
        let run = &self.run;
        let intervals = [Some(run.evaluate_every), Some(run.checkpoint_every), run.sample_every];
        let is_due = intervals.into_iter().flatten().any(|every| step.is_multiple_of(every));
        is_due || step == run.steps || self.stop_after == Some(step)
    }

    /// Whether this step has an evaluation that was not made yet.
    pub(super) fn is_evaluation_due(&self) -> bool {
        let step = self.state.step;
        let is_due = step == self.run.steps || step.is_multiple_of(self.run.evaluate_every);
        step > 0 && is_due && self.state.evaluated != Some(step)
    }

    /// Makes the evaluation that a stop came before: what the schedule and the average learn from it must not be lost.
    pub(super) fn evaluate_if_missed(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainError> {
        if !self.is_evaluation_due() {
            return Ok(());
        }
        monitor.begin_interval(self.state.step - 1);
        if !self.evaluate(monitor)? {
            return self.roll_back(monitor);
        }
        self.save()
    }

    /// Evaluates; the best evaluation of the run is saved at once. Whether the loss is finite.
    fn evaluate(&mut self, monitor: &mut dyn Monitor) -> Result<bool, TrainError> {
        let model = self.updater.finished_model();
        let (file, plan, preference) = (&self.validation, &self.plan, self.updater.preference);
        let evaluation = evaluate_as(&model, file, plan, preference, &mut |_| !monitor.should_stop())?;
        let Some(evaluation) = evaluation else { return Ok(true) };
        let step = self.state.step;
        let loss = self.updater.faults.validation_loss(step, evaluation.loss);
        if !loss.is_finite() {
            self.fault = Some(Fault { what: "validation loss", value: loss });
            return Ok(false);
        }
        self.state.evaluated = Some(step);
        self.updater.observe_validation(loss);
        self.evaluation = Some(evaluation);
        monitor.evaluated(step, loss);
        let translation = self.translate(&model)?;
        let is_best = self.note_evaluation(step, &evaluation, translation)?;
        if is_best {
            self.state.best = Some(Best { step, loss });
            self.save()?;
        }
        Ok(true)
    }

    /// Logs and reports an evaluation; whether it is the best one so far.
    fn note_evaluation(
        &mut self,
        step: u64,
        evaluation: &Evaluation,
        translation: Option<TranslationScores>,
    ) -> Result<bool, TrainError> {
        let entry = EvaluationEntry {
            step,
            valid_loss: evaluation.loss,
            perplexity: evaluation.perplexity,
            bits_per_byte: evaluation.bits_per_byte,
            tokens: evaluation.tokens,
            translation,
            margin: evaluation.preference.map(|measured| measured.margin),
            accuracy: evaluation.preference.map(|measured| measured.accuracy),
        };
        self.note(&entry)?;
        let best = self.state.best.is_none_or(|best| evaluation.loss < best.loss);
        self.state.worse_evaluations = if best { 0 } else { self.state.worse_evaluations + 1 };
        let nats_per_character = evaluation.nats_per_character;
        self.observer.observe(Event::Evaluated { entry: &entry, nats_per_character, best });
        Ok(best)
    }

    /// Has the first pairs of the validation split translated, if the run asks for it.
    fn translate(&mut self, model: &LanguageModel) -> Result<Option<TranslationScores>, TrainError> {
        let (Plan::Pairs(plan), Some(count)) = (&self.plan, self.run.translated_pairs) else { return Ok(None) };
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(plan.index().len());
        let pairs = (0..count).map(|pair| plan.index().pair(pair)).collect::<Result<Vec<_>, _>>()?;
        match self.observer.translate(model, &pairs) {
            Ok(scores) => Ok(Some(scores)),
            Err(message) => {
                self.observer.warn(&format!("nothing was translated at step {}: {message}", self.state.step));
                Ok(None)
            }
        }
    }

    fn sample(&mut self) {
        let model = self.updater.finished_model();
        let (step, tokens) = (self.state.step, self.run.sample_tokens);
        for prompt in &self.run.prompts {
            match self.observer.sample(&model, prompt, tokens) {
                Ok(text) => self.observer.observe(Event::Sampled { step, prompt, text: &text }),
                // Said once: at the next evaluation it will be the same.
                Err(message) if self.refused_prompts.insert(prompt.clone()) => {
                    self.observer.warn(&format!("no sample at step {step}: {message}"));
                }
                Err(_) => {}
            }
        }
    }
}
