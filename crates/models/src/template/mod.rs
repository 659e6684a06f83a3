//! Templates in Jinja's language, as `transformers` renders them, with bounds on what one may cost.

mod python;

use std::io;
use std::time::Duration;

use kiln_kernels::{Allowance, Exceeded, within};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, ErrorKind, Value};

/// The longest template that is read, bytes; the longest published ones have some 20 000.
const LONGEST_TEMPLATE: usize = 256 << 10;
/// Steps that rendering may take, more of them for each value that goes in, and one for every few bytes of these. A
/// step is an instruction, or 64 bytes of most of what is made.
const STEPS: u64 = 100_000;
const STEPS_PER_VALUE: u64 = 10_000;
const BYTES_PER_STEP: u64 = 4;
/// What reading a template or rendering it may take beside times the values' own bytes. Steps bound most of what
/// templates do, but not what comes of a list that holds another one twice, which holds another one twice.
const MEMORY: usize = 64 << 20;
const TIMES_MEMORY: usize = 16;
const TIME: Duration = Duration::from_millis(100);
const TIME_PER_BYTE: Duration = Duration::from_micros(1);
/// Lists in lists are written and given up by recursion.
const STACK: usize = 64 << 20;
/// Bytes that rendering may write beyond what the values have, and times the values' own.
const MOST_WRITTEN: usize = 1 << 20;
const TIMES_WRITTEN: usize = 4;
/// The one template of an environment.
const NAME: &str = "template";

/// A template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
}

/// What goes into a template, which sets how much may come out.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Messages, or whatever else the template goes through.
    pub values: usize,
    /// The bytes of their texts.
    pub bytes: usize,
}

/// What can be wrong with a template; each is the end of a sentence that says which template it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is no template.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It refuses what it was given, in its own words.
    #[error("refuses what it was given: {0}")]
    Refused(String),
    /// It fails.
    #[error("fails: {0}")]
    Failed(String),
    /// It takes more steps, or writes more, than any useful one.
    #[error("{0}, more than a useful one")]
    Endless(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// It isn't one.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        if source.len() > LONGEST_TEMPLATE {
            let words = format!("it has {} bytes, and at most {LONGEST_TEMPLATE} are read", source.len());
            return Err(TemplateError::Unreadable(words));
        }
        let source = python::without_generation_tags(source);
        let environment = bounded(0, move || environment_with(source))??;
        Ok(Self { environment })
    }

    /// The same, but a line break that ends the template ends what it writes.
    pub fn keeping_last_line_break(source: &str) -> Result<Self, TemplateError> {
        // Jinja takes one line break off the end of a template.
        let kept = if source.ends_with('\n') { "\n" } else { "" };
        Self::new(&format!("{source}{kept}"))
    }

    /// What it writes of `context`, which is of this size.
    ///
    /// # Errors
    /// It refuses what it is given, fails, or doesn't end.
    pub fn render(&self, context: Value, size: Size) -> Result<String, TemplateError> {
        let mut environment = self.environment.clone();
        let steps = STEPS + STEPS_PER_VALUE * size.values as u64 + size.bytes as u64 / BYTES_PER_STEP;
        environment.set_fuel(Some(steps));
        let most = MOST_WRITTEN + TIMES_WRITTEN * size.bytes;
        bounded(size.bytes, move || rendered(&environment, context, most, steps))?
    }
}

/// What `work` on a template gives, if it stays within what a useful one takes for values of this length.
fn bounded<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, TemplateError> {
    let time = TIME + TIME_PER_BYTE * u32::try_from(bytes).unwrap_or(u32::MAX);
    let allowance = Allowance { bytes: MEMORY + TIMES_MEMORY * bytes, stack: STACK, time };
    within(allowance, work).map_err(|exceeded| match exceeded {
        Exceeded::Bytes => TemplateError::Endless(format!("takes more than {} MiB of memory", allowance.bytes >> 20)),
        Exceeded::Time => TemplateError::Endless(format!("takes more than {} ms", time.as_millis())),
        Exceeded::Ended => TemplateError::Failed("the renderer gave up on it".to_owned()),
    })
}

/// The one template, and what it may call.
fn environment_with(source: String) -> Result<Environment<'static>, TemplateError> {
    let unreadable = |error: minijinja::Error| TemplateError::Unreadable(one_line(&error));
    let mut environment = Environment::new();
    // As `transformers` does: a tag on a line of its own leaves no line.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(unreadable)?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    // Nothing is no list, as in Python.
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.add_filter("tojson", python::to_json);
    environment.add_function("raise_exception", raise);
    environment.add_function("strftime_now", python::time_now);
    environment.add_template_owned(NAME, source).map_err(unreadable)?;
    Ok(environment)
}

/// What the template writes, at most `most` bytes.
fn rendered(environment: &Environment<'_>, context: Value, most: usize, steps: u64) -> Result<String, TemplateError> {
    let template = environment.get_template(NAME).map_err(|error| TemplateError::Unreadable(one_line(&error)))?;
    let mut text = Bounded { text: Vec::new(), left: most };
    match template.render_captured_to(context, &mut text) {
        Ok(_) => String::from_utf8(text.text).map_err(|error| TemplateError::Failed(error.to_string())),
        Err(error) => Err(failure(&error, text.left == 0, steps)),
    }
}

/// A value of a template that maps keys to texts.
pub(crate) fn pairs<K: ToString, V: ToString>(table: impl IntoIterator<Item = (K, V)>) -> Value {
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

fn failure(error: &minijinja::Error, is_full: bool, steps: u64) -> TemplateError {
    let mut source = Some(error as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if inner.is::<Raised>() {
            return TemplateError::Refused(shortened(error.detail().unwrap_or_default()));
        }
        source = inner.source();
    }
    match error.kind() {
        ErrorKind::OutOfFuel => TemplateError::Endless(format!("takes more than {steps} steps")),
        _ if is_full => TemplateError::Endless(format!("writes more than {MOST_WRITTEN} bytes beside what goes in")),
        _ => TemplateError::Failed(one_line(error)),
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
