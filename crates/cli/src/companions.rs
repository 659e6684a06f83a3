//! Second models beside the one that writes, as arguments.

use std::path::{Path, PathBuf};

use clap::Args;
use kiln_inference::{Contrast, Draft, Generation, Guesses, Request, generate, generate_contrasted};
use kiln_models::saved::SavedModel;
use kiln_storage::Which;

use crate::arguments::RunsArguments;
use crate::device::Chosen;
use crate::exit::UsageError;
use crate::precision::PrecisionArguments;
use crate::runs;
use crate::usage::whole;

const GUESSES_HEADING: &str = "Guesses";
const CONTRAST_HEADING: &str = "Contrast";

/// What is guessed where a draft is named and no number is.
const GUESSES_OF_A_DRAFT: usize = 4;

/// How the next tokens are guessed.
#[derive(Debug, Args)]
pub(crate) struct DraftArguments {
    /// Guess up to N tokens from what followed an earlier copy of the text's end, and read them at once: the same text,
    /// sooner where texts repeat themselves. Only for transformers
    #[arg(long, value_name = "N", help_heading = GUESSES_HEADING, value_parser = whole(0..=256))]
    speculate: Option<u64>,

    /// Let this smaller model of the same tokenizer guess (4 tokens at a time unless `--speculate` says otherwise):
    /// what is written has the same distribution, and comes sooner where both agree
    #[arg(long, value_name = "MODEL", help_heading = GUESSES_HEADING)]
    draft: Option<PathBuf>,
}

/// What a stronger model is set against.
#[derive(Debug, Args)]
pub(crate) struct ContrastArguments {
    /// Write what the model finds likelier than this weaker model of the same tokenizer does
    #[arg(long, value_name = "MODEL", help_heading = CONTRAST_HEADING)]
    amateur: Option<PathBuf>,

    /// Leave out tokens less likely than this share of the likeliest
    #[arg(
        long, value_name = "A", help_heading = CONTRAST_HEADING, requires = "amateur",
        default_value_t = Contrast::default().alpha, allow_negative_numbers = true
    )]
    contrast_alpha: f32,

    /// Weigh logits 1 + B against B instead of subtracting one logarithm of a probability from the other
    #[arg(
        long, value_name = "B", help_heading = CONTRAST_HEADING, requires = "amateur", allow_negative_numbers = true
    )]
    contrast_beta: Option<f32>,
}

/// Where models are looked for and how they are opened.
pub(crate) struct Opening<'a> {
    pub(crate) runs: &'a RunsArguments,
    pub(crate) precision: PrecisionArguments,
    pub(crate) device: &'a Chosen,
}

impl Opening<'_> {
    /// A model of the same tokenizer as `first`.
    fn open(&self, argument: &str, path: &Path, first: &SavedModel) -> anyhow::Result<SavedModel> {
        let found = self.runs.find(path)?;
        runs::refuse_no_model(&found, "sample")?;
        let second = self.precision.open(&found, Which::Best, None, self.device)?;
        if !first.tokenizer.has_same_tokens(&second.tokenizer) {
            let (one, other) = (first.tokenizer.vocabulary_size(), second.tokenizer.vocabulary_size());
            let words = format!(
                "{argument} {}: its tokenizer isn't that of the model ({other} and {one} tokens), so that the two \
                 cannot read the same text\n  help: take a model that was trained with the same tokenizer.json",
                runs::quoted(&path.to_string_lossy())
            );
            return Err(UsageError(words).into());
        }
        Ok(second)
    }
}

impl DraftArguments {
    /// How many tokens are guessed at a time.
    pub(crate) fn count(&self) -> usize {
        let asked = self.speculate.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        asked.unwrap_or(if self.draft.is_some() { GUESSES_OF_A_DRAFT } else { 0 })
    }

    /// The model that guesses, if one was named.
    ///
    /// # Errors
    /// It cannot be opened, has another tokenizer, or the model cannot read guesses.
    pub(crate) fn open(&self, opening: &Opening, saved: &SavedModel) -> anyhow::Result<Option<SavedModel>> {
        let Some(path) = &self.draft else { return Ok(None) };
        if saved.model.longest_window().is_none() {
            let words = "--draft: a recurrent model reads token by token and cannot take a guess back; only a \
                         transformer gains by a draft, which may be recurrent";
            return Err(UsageError(words.into()).into());
        }
        opening.open("--draft", path, saved).map(Some)
    }
}

impl ContrastArguments {
    /// What the arguments ask for.
    ///
    /// # Errors
    /// When a number makes no sense.
    pub(crate) fn get(&self) -> Result<Contrast, UsageError> {
        let contrast = Contrast { alpha: self.contrast_alpha, beta: self.contrast_beta };
        match contrast.violation() {
            Some(violation) => Err(UsageError(format!("--contrast-{violation}"))),
            None => Ok(contrast),
        }
    }

    fn open(&self, opening: &Opening, saved: &SavedModel) -> anyhow::Result<Option<(SavedModel, Contrast)>> {
        let Some(path) = &self.amateur else { return Ok(None) };
        Ok(Some((opening.open("--amateur", path, saved)?, self.get()?)))
    }
}

/// A model with those beside it.
pub(crate) struct Companions {
    pub(crate) saved: SavedModel,
    draft: Option<SavedModel>,
    amateur: Option<(SavedModel, Contrast)>,
}

impl Companions {
    /// # Errors
    /// One of them cannot be opened, or has another tokenizer.
    pub(crate) fn open(
        saved: SavedModel,
        draft: &DraftArguments,
        contrast: &ContrastArguments,
        opening: &Opening,
    ) -> anyhow::Result<Self> {
        let (draft, amateur) = (draft.open(opening, &saved)?, contrast.open(opening, &saved)?);
        Ok(Self { saved, draft, amateur })
    }

    /// What guesses for one text after another.
    pub(crate) fn draft(&self) -> Option<Draft<'_>> {
        self.draft.as_ref().map(|saved| Draft::new(&saved.model))
    }

    /// Writes with all of them.
    ///
    /// # Errors
    /// As [`generate`].
    pub(crate) fn generate<'a>(
        &'a self,
        draft: Option<&'a mut Draft<'_>>,
        request: &Request,
    ) -> anyhow::Result<Generation<'a>> {
        let saved = &self.saved;
        let generation = match &self.amateur {
            Some((amateur, contrast)) => {
                generate_contrasted(&saved.model, &amateur.model, *contrast, &saved.tokenizer, request)?
            }
            None => generate(&saved.model, &saved.tokenizer, request)?,
        };
        Ok(match draft {
            Some(draft) => generation.with_draft(draft)?,
            None => generation,
        })
    }
}

/// How many guesses were right, to stand behind other words; nothing if there were none.
pub(crate) fn words_of_guesses(guesses: Guesses) -> String {
    let words = |share: f64| format!("; {} of {} guesses right ({:.0} %)", guesses.right, guesses.made, 100.0 * share);
    guesses.share().map_or_else(String::new, words)
}
