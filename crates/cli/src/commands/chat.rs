//! `kiln chat MODEL`: a conversation on the terminal.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Args;
use kiln_inference::{Draft, Memory, Request, generate_remembering};
use kiln_models::saved::{ChatTemplate, SavedModel};
use kiln_models::{ChatError, ChatFormat, Message};
use kiln_storage::{DiskFiles, Which, write_file_atomically};

use crate::adapters::AdapterArguments;
use crate::arguments::{DeviceArguments, RunsArguments};
use crate::companions::{DraftArguments, Opening, words_of_guesses};
use crate::exit::{Exit, UsageError};
use crate::piped::read_text;
use crate::precision::{CacheArguments, PrecisionArguments};
use crate::report;
use crate::runs;
use crate::sampling::{SamplerArguments, token_count};
use crate::terminal::say;

const COMMANDS: &str = "\
/system TEXT  begin anew, with this for the model to follow
/reset        begin anew
/adapter NAME answer with these adapters of those that `--adapter` named; none leaves them out
/save FILE    write the conversation to a file, as JSON
/help         show this
/quit         end, as Ctrl-D does; Ctrl-C ends an answer";

/// The longest line that is read, bytes.
const LONGEST_LINE: u64 = 1 << 20;
/// The longest template that is read, bytes.
const LONGEST_TEMPLATE: u64 = 1 << 20;

/// Arguments of `kiln chat`.
#[derive(Debug, Args)]
#[command(after_help = "In a conversation:\n  /system TEXT, /reset, /save FILE, /help, /quit")]
pub(crate) struct ChatArguments {
    /// A model that was taught to answer: a folder in Hugging Face's form, a GGUF file, or a run that learned from
    /// conversations; or any other run, with `--template`
    model: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of a run: best, last, or a number of steps
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,

    /// What the model is to follow in all of its answers
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// A chat template in Jinja's language, in place of the model's own
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// The most tokens of an answer
    #[arg(
        short = 'n', long, value_name = "N", default_value_t = 1024, value_parser = token_count,
        allow_negative_numbers = true
    )]
    max_tokens: usize,

    #[command(flatten)]
    sampler: SamplerArguments,

    #[command(flatten)]
    guesses: DraftArguments,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    adapters: AdapterArguments,

    #[command(flatten)]
    precision: PrecisionArguments,

    #[command(flatten)]
    cache: CacheArguments,

    /// Say after each answer how many tokens were read and written
    #[arg(short, long)]
    verbose: bool,
}

/// `kiln chat`.
///
/// # Errors
/// Settings that make no sense, a model that cannot be opened or was not taught to answer, a device that fails.
pub(crate) fn chat(arguments: &ChatArguments) -> anyhow::Result<Exit> {
    let sampler = arguments.sampler.config()?;
    let chosen = arguments.device.choose()?;
    let path = arguments.runs.find(&arguments.model)?;
    runs::refuse_no_model(&path, "chat")?;
    let base = arguments.adapters.base(&arguments.runs)?;
    let mut saved = arguments.precision.open(&path, arguments.checkpoint, base.as_deref(), &chosen)?;
    crate::runs::refuse_pairs(&saved, "chat")?;
    saved.model = arguments.cache.apply(saved.model, &chosen)?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    let named = arguments.adapters.named(&arguments.runs)?;
    let adapted = named.iter().map(|named| Ok((named.name.as_str(), named.on(&saved)?)));
    let adapted = adapted.collect::<anyhow::Result<Vec<(&str, SavedModel)>>>()?;
    let base = saved;
    let saved = adapted.first().map_or(&base, |(_, saved)| saved);
    let format = ChatFormat::new(&template(arguments, saved)?)?;
    let sampler = arguments.sampler.with_tokens(sampler, &saved.tokenizer)?;
    let opening = Opening { runs: &arguments.runs, precision: arguments.precision, device: &chosen };
    let draft = arguments.guesses.open(&opening, saved)?;
    let speculate = arguments.guesses.count();
    let request = Request { end: saved.end.clone(), sampler, speculate, ..Request::new("", arguments.max_tokens) };
    let conversation = Conversation {
        saved,
        base: &base,
        adapted: &adapted,
        format,
        request,
        memory: Memory::new(&saved.model),
        draft: draft.as_ref().map(|draft| Draft::new(&draft.model)),
        system: arguments.system.clone(),
        messages: Vec::new(),
        interrupt: Interrupt::listen()?,
        is_verbose: arguments.verbose,
    };
    conversation.hold()?;
    Ok(Exit::Done)
}

/// The template that was given, or the model's own.
fn template(arguments: &ChatArguments, saved: &SavedModel) -> anyhow::Result<ChatTemplate> {
    let Some(path) = &arguments.template else {
        let model = runs::quoted(&arguments.model.to_string_lossy());
        let words = format!(
            "{model} has no chat template: nobody taught it to answer, or it doesn't say how\n  help: `kiln sample \
             {model}` continues a text, and `--template FILE` gives a template"
        );
        return saved.chat_template.clone().ok_or_else(|| UsageError(words).into());
    };
    let source = read_text(path, LONGEST_TEMPLATE, "template")?;
    let tokens = saved.chat_template.as_ref().map(|own| own.tokens.clone()).unwrap_or_default();
    Ok(ChatTemplate { source, tokens })
}

/// Ctrl-C: ends an answer while one is written, else the program.
struct Interrupt {
    came: Arc<AtomicBool>,
    ends_program: Arc<AtomicBool>,
}

impl Interrupt {
    fn listen() -> anyhow::Result<Self> {
        let new = Self { came: Arc::default(), ends_program: Arc::new(AtomicBool::new(true)) };
        let context = "cannot listen to the signals of the system";
        let code = Exit::Interrupted as i32;
        signal_hook::flag::register_conditional_shutdown(libc::SIGINT, code, Arc::clone(&new.ends_program))
            .context(context)?;
        signal_hook::flag::register(libc::SIGINT, Arc::clone(&new.came)).context(context)?;
        Ok(new)
    }
}

/// A conversation and what is needed to hold it.
struct Conversation<'a> {
    saved: &'a SavedModel,
    /// The model without the adapters that were named.
    base: &'a SavedModel,
    /// It with each of them.
    adapted: &'a [(&'a str, SavedModel)],
    format: ChatFormat,
    request: Request,
    memory: Memory<'a>,
    draft: Option<Draft<'a>>,
    system: Option<String>,
    /// What was said, without the system's message.
    messages: Vec<Message>,
    interrupt: Interrupt,
    is_verbose: bool,
}

impl Conversation<'_> {
    /// Answers every line of stdin.
    fn hold(mut self) -> anyhow::Result<()> {
        let is_asked = io::stdin().is_terminal();
        if is_asked {
            say("type a message, or /help; a line that ends in \\ is continued; Ctrl-D ends");
        }
        while let Some(line) = read_message(is_asked)? {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            match line.strip_prefix('/') {
                Some("quit" | "exit" | "bye") => break,
                Some(command) => self.command(command),
                None => self.answer(line)?,
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &str) {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match (name, rest.trim()) {
            ("reset", _) => {
                self.messages.clear();
                say("begun anew");
            }
            ("system", text) => {
                self.system = (!text.is_empty()).then(|| text.to_owned());
                self.messages.clear();
                say(if text.is_empty() { "begun anew, without a system message" } else { "begun anew" });
            }
            ("adapter", name) => self.choose(name),
            ("save", "") => say("`/save FILE`: name the file"),
            ("save", file) => match self.save(Path::new(file)) {
                Ok(()) => say(&format!("saved to {file}")),
                Err(error) => report::print(&error),
            },
            ("help", _) => say(COMMANDS),
            (other, _) => say(&format!("there is no /{other}; these are there:\n{COMMANDS}")),
        }
    }

    /// Goes on with other adapters; the conversation stays.
    fn choose(&mut self, name: &str) {
        let chosen = match name {
            "none" => Some(self.base),
            name => self.adapted.iter().find(|(other, _)| *other == name).map(|(_, saved)| saved),
        };
        let Some(saved) = chosen else {
            let names: Vec<&str> = self.adapted.iter().map(|(name, _)| *name).chain(["none"]).collect();
            return say(&format!("`/adapter NAME`, of {}; `--adapter NAME=FOLDER` brings others", names.join(", ")));
        };
        (self.saved, self.memory) = (saved, Memory::new(&saved.model));
        say(&format!("the next answer is by {}", if name == "none" { "the model without adapters" } else { name }));
    }

    /// The messages so far, the system's first.
    fn all(&self) -> Vec<Message> {
        let system = self.system.iter().map(|text| Message::new("system", text));
        system.chain(self.messages.iter().cloned()).collect()
    }

    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&self.all())? + "\n";
        Ok(write_file_atomically(&DiskFiles, path, text.as_bytes())?)
    }

    /// Writes the answer to a message. What the model cannot read is said and forgotten.
    fn answer(&mut self, message: &str) -> anyhow::Result<()> {
        self.messages.push(Message::new("user", message));
        let tokens = match self.format.encode(&self.saved.tokenizer, &self.all()) {
            Ok(tokens) => tokens,
            Err(error @ (ChatError::Refused(_) | ChatError::Prompt(_))) => {
                self.messages.pop();
                report::print(&error.into());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.warn_of_length(tokens.len());
        self.interrupt.came.store(false, Ordering::Relaxed);
        self.interrupt.ends_program.store(false, Ordering::Relaxed);
        let answer = self.write(&tokens);
        self.interrupt.ends_program.store(true, Ordering::Relaxed);
        self.messages.push(Message::new("assistant", &answer?));
        // Another choice of tokens for the same question, asked again.
        self.request.sampler.seed = self.request.sampler.seed.wrapping_add(1);
        Ok(())
    }

    fn warn_of_length(&self, tokens: usize) {
        if let Some(longest) = self.saved.model.longest_window()
            && tokens >= longest
        {
            say(&format!(
                "the conversation has {tokens} tokens, and the model reads {longest}: it no longer sees the beginning; \
                 /reset begins anew"
            ));
        }
    }

    /// Writes what comes after the tokens to stdout.
    fn write(&mut self, tokens: &[u32]) -> anyhow::Result<String> {
        let mut stdout = io::stdout().lock();
        let (mut text, mut written) = (String::new(), 0);
        let started = std::time::Instant::now();
        let mut generation = generate_remembering(&mut self.memory, &self.saved.tokenizer, tokens, &self.request)?;
        if let Some(draft) = &mut self.draft {
            generation = generation.with_draft(draft)?;
        }
        for piece in generation.by_ref() {
            let piece = piece?;
            written += 1;
            stdout.write_all(piece.text.as_bytes())?;
            stdout.flush()?;
            text += &piece.text;
            if self.interrupt.came.load(Ordering::Relaxed) {
                break;
            }
        }
        writeln!(stdout)?;
        let guesses = words_of_guesses(generation.guesses());
        drop(generation);
        if self.is_verbose {
            let known = self.memory.known_tokens();
            let seconds = started.elapsed().as_secs_f64();
            let read = tokens.len();
            say(&format!("{read} tokens read, {known} of them before; {written} written in {seconds:.2} s{guesses}"));
        }
        Ok(text)
    }
}

/// The next line of stdin, with those that continue it; nothing at its end.
fn read_message(is_asked: bool) -> anyhow::Result<Option<String>> {
    let mut message = String::new();
    loop {
        if is_asked {
            let mut stderr = io::stderr().lock();
            let sign: &[u8] = if message.is_empty() { b"> " } else { b". " };
            let _ = stderr.write_all(sign).and_then(|()| stderr.flush());
        }
        let mut line = String::new();
        let read = io::stdin().lock().take(LONGEST_LINE).read_line(&mut line);
        if read.context("cannot read a message from stdin")? == 0 {
            return Ok((!message.is_empty()).then_some(message));
        }
        let line = line.trim_end_matches(['\n', '\r']);
        match line.strip_suffix('\\') {
            Some(begun) => message = message + begun + "\n",
            None => return Ok(Some(message + line)),
        }
    }
}
