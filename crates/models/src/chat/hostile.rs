//! Hostile templates, and mutants of right ones: rendered or refused, within bounds of time and memory.

use std::time::{Duration, Instant};

use crate::saved::ChatTemplate;
use kiln_hostile::{Fate, Form, each_mutant, in_a_process, peak_memory};
use kiln_kernels::OrElse;
use serde_json::Value;

use super::{ChatError, ChatFormat, Message};

/// As that of the program, by which memory is counted.
#[global_allocator]
static ALLOCATOR: OrElse<std::alloc::System> = OrElse::new(std::alloc::System, |_| std::process::abort());

/// Lists that are twice as large at each step, and as large as a few bytes in memory.
const DOUBLED: &str = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(48) %}{% set ns.x = [ns.x, ns.x] %}\
                       {% set ns.y = [ns.y, ns.y] %}{% endfor %}";
/// Lists in lists.
const NESTED: &str = "{% set ns = namespace(x=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}";
/// A list that is longer than any memory.
const LONG: &str = "{% set ns = namespace(x=[1, 2]) %}{% for i in range(48) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";

/// Templates that would take hours or all memory, or end the program.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        "{% set ns = namespace(x='aaaa') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% for a in range(10000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 'x' * 90000000 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ ([1] * 100000000) | tojson }}",
        "{{ ([1] * 100000000) | string | length }}",
        "{% set ns = namespace(x='xx') %}{% for i in range(40) %}{% set ns.x = ns.x.replace('x', ns.x) %}{% endfor %}",
        "{% set ns = namespace(x='xx') %}{% for i in range(40) %}{% set ns.x = ns.x.join(ns.x) %}{% endfor %}",
    ]
    .map(str::to_owned)
    .into();
    let uses = [
        "{{ ns.x }}",
        "{% set y %}{{ ns.x }}{% endset %}",
        "{{ ns.x | tojson }}",
        "{{ (ns.x | string) | length }}",
        "{{ (ns.x ~ '') | length }}",
        "{{ ', '.join(ns.x) | length }}",
        "{{ ns.x | join(',') | length }}",
        "{{ raise_exception(ns.x | string) }}",
    ];
    for start in [DOUBLED, LONG] {
        all.extend(uses.iter().map(|what| format!("{start}{what}")));
    }
    all.push(format!("{DOUBLED}{{{{ ns.x == ns.y }}}}"));
    all.push(format!("{DOUBLED}{{{{ [ns.x].count(ns.y) }}}}"));
    all.push(format!("{DOUBLED}{{{{ {{ns.x: 1}}[ns.y] }}}}"));
    all.push(format!("{LONG}{{% for a in ns.x %}}{{% endfor %}}"));
    all
}

fn render(source: &str, messages: &[Message]) -> Result<String, ChatError> {
    let template = ChatTemplate { source: source.to_owned(), tokens: Default::default() };
    ChatFormat::new(&template)?.render(messages)
}

fn user() -> Vec<Message> {
    vec![Message::new("user", "What is the capital of France?")]
}

/// Runs a template in a process of its own, and gives its error, the milliseconds that it took and its MiB.
fn apart(source: &str) -> (String, u64, u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("template.jinja");
    std::fs::write(&path, source).expect("it can be written");
    let words = in_a_process("chat::hostile::renders_one", &path);
    let line = words.lines().find(|line| line.contains("became:")).unwrap_or_else(|| panic!("{source}: {words}"));
    let (_, rest) = line.split_once("became:").expect("it is there");
    let mut parts = rest.splitn(3, ' ');
    let mut number = || parts.next().and_then(|part| part.parse().ok()).expect("a number");
    let (time, memory) = (number(), number());
    (parts.next().unwrap_or_default().to_owned(), time, memory)
}

#[test]
#[ignore = "for `in_a_process`"]
fn renders_one() {
    let path = std::env::var_os("KILN_HOSTILE_FILE").expect("a file is named");
    let source = std::fs::read_to_string(path).expect("it can be read");
    let (before, started) = (peak_memory().unwrap_or_default(), Instant::now());
    let rendered = render(&source, &user());
    let (took, after) = (started.elapsed().as_millis(), peak_memory().unwrap_or_default());
    let words = rendered.map_or_else(|error| error.to_string(), |text| format!("text of {} bytes", text.len()));
    let words: String = words.chars().take(200).collect();
    println!("\nbecame:{took} {} {words}", after.saturating_sub(before) >> 20);
}

#[test]
fn a_hostile_template_is_an_error_soon_and_takes_little_memory() {
    for source in hostile() {
        let (words, milliseconds, mebibytes) = apart(&source);
        if std::env::var_os("KILN_SHOW").is_some() {
            record(&format!("{milliseconds} ms, {mebibytes} MiB, {words}: {source}"));
        }
        assert!(words.starts_with("the chat template"), "{source}: {words}");
        // A tenth of a second is the limit; the rest is for a machine that does other things too.
        assert!(milliseconds < 2000, "{source}: {milliseconds} ms");
        assert!(mebibytes < 96, "{source}: {mebibytes} MiB");
    }
}

fn record(words: &str) {
    eprintln!("{words}");
}

/// Lists in lists are written by recursion, and given up by it.
#[test]
fn lists_in_lists_are_no_overflow() {
    for what in ["", "{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x | string | length }}", "{{ ns.x == [ns.x] }}"] {
        let (words, ..) = apart(&format!("{NESTED}{what}"));
        assert!(words.starts_with("text of") || words.starts_with("the chat template"), "{what}: {words}");
    }
    for (open, close) in [("[", "]"), ("(", ")"), ("not ", ""), ("{% if 1 %}", "{% endif %}")] {
        let inner = if open.starts_with('{') { "" } else { "1" };
        let (before, after) = if inner.is_empty() { ("", "") } else { ("{{ ", " }}") };
        let count = 200_000 / (open.len() + close.len());
        let source = format!("{before}{}{inner}{}{after}", open.repeat(count), close.repeat(count));
        let (words, ..) = apart(&source);
        assert!(words.starts_with("text of") || words.starts_with("the chat template"), "{open}: {words}");
    }
}

#[test]
fn every_mutant_of_a_template_is_rendered_or_refused() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat-templates.json");
    let fixture: Value = serde_json::from_slice(&std::fs::read(path).expect("it is there")).expect("it is JSON");
    let cases = fixture["cases"].as_array().expect("a list");
    let mut templates: Vec<Vec<u8>> =
        cases.iter().map(|case| case["template"].as_str().expect("a text").as_bytes().to_vec()).collect();
    templates.sort();
    templates.dedup();
    let messages = [
        Message::new("system", "Be brief."),
        Message::new("user", "What is <|im_end|>?"),
        Message::new("assistant", "A sign."),
        Message::new("user", "Thanks!\n"),
    ];
    let mut longest = Duration::ZERO;
    let tally = each_mutant(&templates, Form::Text, |bytes| {
        let started = Instant::now();
        let fate = match std::str::from_utf8(bytes).map(|source| render(source, &messages)) {
            Ok(Ok(_)) => Fate::Read,
            Ok(Err(error)) => {
                assert!(error.to_string().starts_with("the chat template"), "{error}");
                Fate::Refused
            }
            Err(_) => Fate::Refused,
        };
        longest = longest.max(started.elapsed());
        fate
    });
    if std::env::var_os("KILN_SHOW").is_some() {
        record(&format!("{tally:?}, at most {longest:?}"));
    }
    assert!(tally.read > 1000 && tally.refused > 1000, "{tally:?}");
}
