//! From prompts to text, piece by piece.

mod batch;
mod beams;
mod contrast;
mod draft;
mod guesses;
mod lookup;
mod memory;
mod reader;
mod request;
mod row;
mod stop;
#[cfg(test)]
mod tests;

use kiln_models::{LanguageModel, Tokenizer};

pub use batch::Batch;
pub use beams::{Beams, Found, search};
pub use contrast::Contrast;
use contrast::ContrastReader;
pub use draft::Draft;
pub use guesses::Guesses;
pub use memory::Memory;
use reader::{ModelReader, Reader};
pub use request::{Finish, GenerateError, Piece, Request};
use row::Row;
pub(crate) use row::first_tokens;

/// Writes text with a model. The prompt is read when the first piece is asked for; each piece is one token.
///
/// A model that is being trained should be given as `model.valid()`, which keeps no graph of the tokens read.
///
/// # Errors
/// The request makes no sense, or its prompt cannot be spelled.
pub fn generate<'a>(
    model: &'a LanguageModel,
    tokenizer: &Tokenizer,
    request: &Request,
) -> Result<Generation<'a>, GenerateError> {
    Generation::new(Box::new(ModelReader::new(model)), tokenizer, request)
}

/// As [`generate`], after a prompt that is given as tokens; the one of the request is ignored.
///
/// # Errors
/// The request makes no sense, or a token is none of the model's.
pub fn generate_after<'a>(
    model: &'a LanguageModel,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    request: &Request,
) -> Result<Generation<'a>, GenerateError> {
    let reader = Box::new(ModelReader::new(model));
    let row = Row::new(tokenizer, reader.vocabulary_size(), prompt, request)?;
    Ok(Generation { batch: Batch::new(reader, vec![row]) })
}

/// As [`generate_after`], with a memory of what the model has read: of a prompt that begins with that, only the rest is
/// read.
///
/// # Errors
/// As [`generate_after`].
pub fn generate_remembering<'a>(
    memory: &'a mut Memory<'_>,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    request: &Request,
) -> Result<Generation<'a>, GenerateError> {
    memory.begin();
    let reader = Box::new(memory);
    let row = Row::new(tokenizer, reader.vocabulary_size(), prompt, request)?;
    Ok(Generation { batch: Batch::new(reader, vec![row]) })
}

/// As [`generate`], with the difference between a model and a weaker one, the `amateur`.
///
/// # Errors
/// As [`generate`], or the amateur doesn't know all tokens, or a number of `contrast` is none.
pub fn generate_contrasted<'a>(
    model: &'a LanguageModel,
    amateur: &'a LanguageModel,
    contrast: Contrast,
    tokenizer: &Tokenizer,
    request: &Request,
) -> Result<Generation<'a>, GenerateError> {
    let vocabulary = model.vocabulary_size().min(tokenizer.vocabulary_size());
    let reader = ContrastReader::new(model, amateur, contrast, vocabulary)?;
    Generation::new(Box::new(reader), tokenizer, request)
}

/// Writes several texts at the same time, each with its own sampler, stop texts and length.
///
/// # Errors
/// One of the requests makes no sense, or its prompt cannot be spelled.
pub fn generate_batch<'a>(
    model: &'a LanguageModel,
    tokenizer: &Tokenizer,
    requests: &[Request],
) -> Result<Batch<'a>, GenerateError> {
    batch(Box::new(ModelReader::new(model)), tokenizer, requests)
}

/// As [`generate_batch`], each after a prompt that is given as tokens; the one of its request is ignored.
///
/// # Errors
/// As [`generate_after`].
pub fn generate_batch_after<'a>(
    model: &'a LanguageModel,
    tokenizer: &Tokenizer,
    requests: &[(Vec<u32>, Request)],
) -> Result<Batch<'a>, GenerateError> {
    let reader = Box::new(ModelReader::new(model));
    let vocabulary = reader.vocabulary_size();
    let row = |(prompt, request): &(Vec<u32>, Request)| Row::new(tokenizer, vocabulary, prompt, request);
    let rows = requests.iter().map(row).collect::<Result<Vec<Row>, GenerateError>>()?;
    Ok(Batch::new(reader, rows))
}

fn batch<'a>(
    reader: Box<dyn Reader + 'a>,
    tokenizer: &Tokenizer,
    requests: &[Request],
) -> Result<Batch<'a>, GenerateError> {
    let vocabulary = reader.vocabulary_size();
    let row = |request: &Request| Row::new(tokenizer, vocabulary, &tokenizer.encode(&request.prompt)?, request);
    let rows = requests.iter().map(row).collect::<Result<Vec<Row>, GenerateError>>()?;
    Ok(Batch::new(reader, rows))
}

/// Text being written, a [`Batch`] of one: an iterator over its pieces. After an error, or its last piece, it gives
/// nothing more.
///
/// ```
/// use burn::tensor::Device;
/// use kiln_inference::{Finish, Request, generate};
/// use kiln_models::{ByteTokenizerConfig, GruConfig, ModelConfig, Tokenizer, TokenizerConfig};
///
/// let config = TokenizerConfig::Byte(ByteTokenizerConfig::default());
/// let tokenizer = Tokenizer::train(&config, &mut std::iter::empty())?;
/// let config = ModelConfig::Gru(GruConfig { layers: 1, hidden: 8, ..GruConfig::default() });
/// let model = config.init(tokenizer.vocabulary_size(), 16, 1, &Device::flex());
///
/// let mut generation = generate(&model, &tokenizer, &Request::new("a", 10))?;
/// let pieces = generation.by_ref().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!((pieces.len(), generation.finish()), (10, Some(Finish::Length)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Generation<'a> {
    batch: Batch<'a>,
}

impl<'a> Generation<'a> {
    fn new(reader: Box<dyn Reader + 'a>, tokenizer: &Tokenizer, request: &Request) -> Result<Self, GenerateError> {
        Ok(Self { batch: batch(reader, tokenizer, std::slice::from_ref(request))? })
    }

    /// The same, but the end token is a token like any other, so that as many tokens come as were asked for.
    #[must_use]
    pub fn past_end_token(self) -> Self {
        Self { batch: self.batch.past_end_token() }
    }

    /// The same text, sooner: `draft` guesses as many of its tokens as the request says, the model reads them at once,
    /// and each is taken or replaced so that what is written has the distribution of the model alone (Leviathan et al.
    /// 2023, <https://arxiv.org/abs/2211.17192>; Chen et al. 2023, <https://arxiv.org/abs/2302.01318>). Only a
    /// transformer can read guesses; the draft may be any model.
    ///
    /// # Errors
    /// The draft doesn't know all tokens that may be written.
    pub fn with_draft(self, draft: &'a mut Draft<'_>) -> Result<Self, GenerateError> {
        Ok(Self { batch: self.batch.with_guesser(Box::new(draft))? })
    }

    /// How many tokens were guessed so far, and how many rightly.
    pub fn guesses(&self) -> Guesses {
        self.batch.guesses()
    }

    /// Why it ended; nothing before that, and nothing after an error.
    pub fn finish(&self) -> Option<Finish> {
        self.batch.finish(0)
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Piece, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch.next().map(|(_, piece)| piece)
    }
}

impl std::iter::FusedIterator for Generation<'_> {}
