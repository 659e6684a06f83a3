//! Templates in Jinja's language, as `transformers` renders them.

use std::io;
use std::time::Duration;

use kiln_kernels::{Allowance, Exceeded, within};
use kiln_models::Tokenizer;
use kiln_models::saved::ChatTemplate;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, ErrorKind, Value};
use serde::{Deserialize, Serialize};

use super::error::ChatError;
use super::{python, tokens};

/// The longest template that is read, bytes; the longest published ones have some 20 000.
const LONGEST_TEMPLATE: usize = 256 << 10;
/// Steps that rendering may take, more of them for each message, and for each of so many bytes of the messages. A step
/// is an instruction, or 64 bytes of most of what is made.
const STEPS: u64 = 100_000;
const STEPS_PER_MESSAGE: u64 = 10_000;
const BYTES_PER_STEP: u64 = 4;
/// What reading a template or rendering it may take beside times the messages' own bytes. Steps bound most of what
/// templates do, but not what comes of a list that holds another one twice, which holds another one twice.
const MEMORY: usize = 64 << 20;
const TIMES_MEMORY: usize = 16;
const TIME: Duration = Duration::from_millis(100);
const TIME_PER_BYTE: Duration = Duration::from_micros(1);
/// Lists in lists are written and given up by recursion.
const STACK: usize = 64 << 20;
/// Bytes that rendering may write beyond what the messages have, and times the messages' own.
const MOST_WRITTEN: usize = 1 << 20;
const TIMES_WRITTEN: usize = 4;
/// The one template of an environment.
const NAME: &str = "chat";

/// What somebody says in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who: `system`, `user`, `assistant`, or another role that the template knows.
    pub role: String,
    /// What.
    pub content: String,
}

impl Message {
    /// A message of a role.
    pub fn new(role: &str, content: &str) -> Self {
        Self { role: role.to_owned(), content: content.to_owned() }
    }

    fn value(&self) -> Value {
        pairs([("role", &self.role), ("content", &self.content)])
    }
}

/// How conversations are written for a model.
///
/// ```
/// use kiln_inference::{ChatFormat, Message};
/// use kiln_models::saved::ChatTemplate;
///
/// let source = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}\
///               {% if add_generation_prompt %}assistant:{% endif %}";
/// let format = ChatFormat::new(&ChatTemplate { source: source.to_owned(), tokens: Default::default() })?;
/// assert_eq!(format.render(&[Message::new("user", "Hello!")])?, "user: Hello!\nassistant:");
/// # Ok::<(), kiln_inference::ChatError>(())
/// ```
#[derive(Debug)]
pub struct ChatFormat {
    environment: Environment<'static>,
    tokens: Value,
}

impl ChatFormat {
    /// Reads a template.
    ///
    /// # Errors
    /// It isn't one.
    pub fn new(template: &ChatTemplate) -> Result<Self, ChatError> {
        let source = &template.source;
        if source.len() > LONGEST_TEMPLATE {
            let words = format!("it has {} bytes, and at most {LONGEST_TEMPLATE} are read", source.len());
            return Err(ChatError::Template(words));
        }
        let source = python::without_generation_tags(source);
        let environment = bounded(0, move || environment_with(source))??;
        Ok(Self { environment, tokens: pairs(&template.tokens) })
    }

    /// The text of a conversation, up to where the model answers.
    ///
    /// # Errors
    /// The template refuses the messages, fails, or doesn't end.
    pub fn render(&self, messages: &[Message]) -> Result<String, ChatError> {
        let length: usize = messages.iter().map(|message| message.content.len()).sum();
        let mut environment = self.environment.clone();
        let steps = STEPS + STEPS_PER_MESSAGE * messages.len() as u64 + length as u64 / BYTES_PER_STEP;
        environment.set_fuel(Some(steps));
        let context = minijinja::context! {
            messages => messages.iter().map(Message::value).collect::<Vec<Value>>(),
            add_generation_prompt => true,
            tools => (),
            documents => (),
            ..self.tokens.clone(),
        };
        bounded(length, move || render(&environment, context, MOST_WRITTEN + TIMES_WRITTEN * length, steps))?
    }

    /// The tokens of a conversation, up to where the model answers. What a message says is text whatever it says: a
    /// special token that is spelled in it doesn't become one.
    ///
    /// # Errors
    /// As [`ChatFormat::render`], and the text cannot be spelled with the vocabulary.
    pub fn encode(&self, tokenizer: &Tokenizer, messages: &[Message]) -> Result<Vec<u32>, ChatError> {
        let (messages, masks) = tokens::mask(tokenizer, messages);
        let text = self.render(&messages)?;
        Ok(tokens::encode(tokenizer, &text, &masks)?)
    }
}

/// What `work` on a template gives, if it takes no more than a useful one for messages of `length` bytes.
fn bounded<T: Send + 'static>(length: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ChatError> {
    let time = TIME + TIME_PER_BYTE * u32::try_from(length).unwrap_or(u32::MAX);
    let allowance = Allowance { bytes: MEMORY + TIMES_MEMORY * length, stack: STACK, time };
    within(allowance, work).map_err(|exceeded| match exceeded {
        Exceeded::Bytes => ChatError::Endless(format!("takes more than {} MiB of memory", allowance.bytes >> 20)),
        Exceeded::Time => ChatError::Endless(format!("takes more than {} ms", time.as_millis())),
        Exceeded::Ended => ChatError::Failed("the renderer gave up on it".to_owned()),
    })
}

/// The one template, and what it may call.
fn environment_with(source: String) -> Result<Environment<'static>, ChatError> {
    let wrong = |error| ChatError::Template(one_line(&error));
    let mut environment = Environment::new();
    // As `transformers` does: a tag on a line of its own leaves no line.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(wrong)?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    // Nothing is no list, as in Python.
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.add_filter("tojson", python::to_json);
    environment.add_function("raise_exception", raise);
    environment.add_function("strftime_now", python::time_now);
    environment.add_template_owned(NAME, source).map_err(wrong)?;
    Ok(environment)
}

/// The text of the template, which may have so many bytes.
fn render(environment: &Environment<'_>, context: Value, most: usize, steps: u64) -> Result<String, ChatError> {
    let template = environment.get_template(NAME).map_err(|error| ChatError::Template(one_line(&error)))?;
    let mut text = Bounded { text: Vec::new(), left: most };
    match template.render_captured_to(context, &mut text) {
        Ok(_) => String::from_utf8(text.text).map_err(|error| ChatError::Failed(error.to_string())),
        Err(error) => Err(chat_error(&error, text.left == 0, steps)),
    }
}

fn pairs<K: ToString, V: ToString>(table: impl IntoIterator<Item = (K, V)>) -> Value {
    Value::from_pairs(table.into_iter().map(|(key, value)| (key.to_string(), value.to_string())))
}

fn raise(message: String, _: Kwargs) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message).with_source(Raised))
}

/// Marks an error that the template raised itself.
#[derive(Debug)]
struct Raised;

impl std::fmt::Display for Raised {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("raised by the template")
    }
}

impl std::error::Error for Raised {}

fn chat_error(error: &minijinja::Error, is_full: bool, steps: u64) -> ChatError {
    let mut source = Some(error as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if inner.is::<Raised>() {
            return ChatError::Refused(shortened(error.detail().unwrap_or_default()));
        }
        source = inner.source();
    }
    match error.kind() {
        ErrorKind::OutOfFuel => ChatError::Endless(format!("takes more than {steps} steps")),
        _ if is_full => ChatError::Endless(format!("writes more than {MOST_WRITTEN} bytes beside the messages")),
        _ => ChatError::Failed(one_line(error)),
    }
}

/// The error and its line, without the source around it.
fn one_line(error: &minijinja::Error) -> String {
    let line = error.line().map_or_else(String::new, |line| format!(" (line {line})"));
    let detail = error.detail().map_or_else(String::new, |detail| format!(": {}", shortened(detail)));
    format!("{}{detail}{line}", error.kind())
}

/// As much of a template's own words as a person reads.
fn shortened(words: &str) -> String {
    const LONGEST: usize = 2000;
    words.chars().take(LONGEST).collect()
}

/// Text that may grow to a length.
struct Bounded {
    text: Vec<u8>,
    left: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.left {
            self.left = 0;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.left -= bytes.len();
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
