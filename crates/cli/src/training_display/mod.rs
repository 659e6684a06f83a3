//! What a person sees of a run: lines on stderr, or the dashboard on a terminal.

mod lines;
mod words;

use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;
use kiln_data::shards::{EntropyFloor, PreparedData};
use kiln_inference::{Request, SamplerConfig, generate, generate_after};
use kiln_models::saved::Conversing;
use kiln_models::{ChatError, ChatFormat, LanguageModel, Message, Tokenizer};
use kiln_training::config::DEFAULT_PROMPT;
use kiln_training::learning::{Event, Observer};
use kiln_training::run::TranslationScores;

use self::lines::{Lines, evaluated, rolled_back_words, skipped_words, spike_words};
pub(crate) use self::words::{duration, floor_words, grouped};
use crate::screen::{self, Dashboard, Happening, Renderer, State};
use crate::terminal;
use crate::translating;

/// What a user says in samples of a model that learns from conversations, where nothing is configured.
const GREETING: &str = "Hello!";

/// How to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Progress {
    /// The dashboard if stdin and stdout are a terminal that can show it, else lines.
    #[default]
    Auto,
    /// The dashboard.
    Dashboard,
    /// One line every `run.log-every` steps.
    Lines,
}

impl Progress {
    /// The dashboard, if it is to be drawn and can be.
    fn dashboard(self, state: State, interrupter: &Interrupter) -> Option<Dashboard> {
        if self == Self::Lines {
            return None;
        }
        let opened = match screen::obstacle() {
            Some(obstacle) => Err(obstacle),
            None => Dashboard::open(state, interrupter.clone()).map_err(|error| error.to_string()),
        };
        opened
            .inspect_err(|obstacle| {
                if self == Self::Dashboard {
                    terminal::say(&format!("warning: lines instead of the dashboard: {obstacle}"));
                }
            })
            .ok()
    }
}

/// What is shown of a run, and by what.
pub(crate) struct TrainingDisplay {
    view: View,
    tokenizer: Tokenizer,
    /// How conversations are held, and what ends an answer, where it learns from some.
    chat: Option<(ChatFormat, Vec<u32>)>,
    interrupter: Interrupter,
}

/// The dashboard or lines.
#[derive(Clone)]
enum View {
    Dashboard(Dashboard),
    Lines(Lines),
}

/// Ends what is shown of a run.
pub(crate) struct Closing(View);

impl Closing {
    /// Takes the dashboard away and says what is to stay on the screen.
    pub(crate) fn say(&self) {
        if let View::Dashboard(dashboard) = &self.0 {
            dashboard.close();
            terminal::say(&dashboard.closing_words());
        }
    }
}

impl Drop for Closing {
    /// An error or a panic must not leave the terminal as the dashboard had it.
    fn drop(&mut self) {
        if let View::Dashboard(dashboard) = &self.0 {
            dashboard.close();
        }
    }
}

impl TrainingDisplay {
    /// What burn-train tells of every update, what follows the run beside it, and what ends both. `state` is what is
    /// known so far.
    pub(crate) fn new(
        progress: Progress,
        state: State,
        data: &PreparedData,
        floor: Option<EntropyFloor>,
        interrupter: &Interrupter,
    ) -> Result<(Box<dyn MetricsRenderer>, Self, Closing), ChatError> {
        let conversing = data.conversations.as_ref().map(|found| &found.conversing);
        let chat =
            |found: &Conversing| ChatFormat::new(&found.template).map(|format| (format, found.end_tokens.clone()));
        let chat = conversing.map(chat).transpose()?;
        let facts = state.facts.clone();
        let (renderer, view) = match progress.dashboard(state, interrupter) {
            Some(dashboard) => (Renderer::of(dashboard.clone()), View::Dashboard(dashboard)),
            None => (Renderer::nothing(), View::Lines(Lines { facts, floor })),
        };
        let closing = Closing(view.clone());
        let (tokenizer, interrupter) = (data.tokenizer.clone(), interrupter.clone());
        Ok((Box::new(renderer), Self { view, tokenizer, chat, interrupter }, closing))
    }
}

impl Observer for TrainingDisplay {
    fn observe(&mut self, event: Event<'_>) {
        match &self.view {
            View::Lines(lines) => lines.say(event),
            View::Dashboard(dashboard) => {
                if let Some(happening) = happening(event) {
                    dashboard.happened(happening);
                }
            }
        }
    }

    fn sample(&mut self, model: &LanguageModel, prompt: &str, tokens: usize) -> Result<String, String> {
        // Always the same draws, so that samples of different steps can be compared.
        let sampler = SamplerConfig { temperature: 0.8, seed: 1, ..SamplerConfig::default() };
        // A text without line ends has no token for one.
        let is_known = prompt != DEFAULT_PROMPT || self.tokenizer.encode(prompt).is_ok();
        let request = Request { sampler, ..Request::new(if is_known { prompt } else { "" }, tokens) };
        let pieces = match &self.chat {
            None => generate(model, &self.tokenizer, &request),
            Some((format, end)) => {
                let asked = [Message::new("user", if prompt == DEFAULT_PROMPT { GREETING } else { prompt })];
                let asked = format.encode(&self.tokenizer, &asked).map_err(|error| error.to_string())?;
                generate_after(model, &self.tokenizer, &asked, &Request { end: end.clone(), ..request })
            }
        };
        let pieces = pieces.map_err(|error| error.to_string())?;
        // A request to stop does not wait for the end of a sample.
        let pieces = pieces.take_while(|_| !self.interrupter.should_stop());
        pieces.map(|piece| piece.map(|piece| piece.text).map_err(|error| error.to_string())).collect()
    }

    fn translate(&mut self, model: &LanguageModel, pairs: &[[Vec<u32>; 2]]) -> Result<TranslationScores, String> {
        let interrupter = self.interrupter.clone();
        let scores = translating::scores(model, &self.tokenizer, pairs, &mut |_| !interrupter.should_stop());
        scores.map_err(|error| format!("{error:#}"))
    }

    fn warn(&mut self, message: &str) {
        match &self.view {
            View::Lines(_) => terminal::say(&format!("warning: {message}")),
            View::Dashboard(dashboard) => dashboard.happened(Happening::Warning(message.to_owned())),
        }
    }
}

/// What the dashboard learns from an event; the updates it has from burn-train's metrics.
fn happening(event: Event<'_>) -> Option<Happening> {
    match event {
        Event::Started { .. } | Event::Step { .. } => None,
        Event::Spike { entry, clip_norm } => Some(Happening::Spike(spike_words(entry, clip_norm))),
        Event::Skipped { entry } => Some(Happening::Fault(skipped_words(entry))),
        Event::RolledBack { rollback } => {
            Some(Happening::RolledBack { to: rollback.to, words: rolled_back_words(rollback) })
        }
        Event::Evaluated { entry, best, .. } => Some(Happening::Evaluated(evaluated(entry, best))),
        Event::Sampled { step, prompt, text } => Some(Happening::Sampled { step, text: format!("{prompt}{text}") }),
        Event::Saved { step, .. } => Some(Happening::Saved { step }),
    }
}
