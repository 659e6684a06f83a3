//! What a line of a file of conversations says.

use kiln_models::Message;
use serde_json::{Map, Value};

use super::config::Form;

/// The roles of messages.
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// The conversation of a line that is learned, and of a pair of answers the one that is not preferred.
///
/// # Errors
/// What is wrong with it.
pub(super) fn said(line: &Value, form: Option<Form>, pairs: bool) -> Result<[Option<Vec<Message>>; 2], String> {
    let Value::Object(object) = line else { return Err("it is no JSON object".to_owned()) };
    if !pairs {
        return Ok([Some(messages(object, form)?), None]);
    }
    let [chosen, rejected] = ["chosen", "rejected"].map(|key| preferred(object, key));
    let (chosen, rejected) = (chosen?, rejected?);
    if chosen == rejected {
        return Err("`chosen` and `rejected` are the same".to_owned());
    }
    Ok([Some(chosen), Some(rejected)])
}

/// The prompt of a preference and one of its answers.
fn preferred(object: &Map<String, Value>, key: &str) -> Result<Vec<Message>, String> {
    let of_list = |key: &str| listed(object, key, ["role", "content"], role);
    let is_list = |key: &str| object.get(key).is_some_and(|value| value.get(0).is_some_and(Value::is_object));
    let answer = if is_list(key) { of_list(key)? } else { vec![Message::new("assistant", &text(object, key)?)] };
    // Some sets repeat the prompt in both answers.
    let mut messages = match answer.first() {
        Some(first) if first.role != "assistant" => Vec::new(),
        _ if is_list("prompt") => of_list("prompt")?,
        _ => vec![Message::new("user", &text(object, "prompt")?)],
    };
    messages.extend(answer);
    match messages.last() {
        Some(last) if last.role == "assistant" && !last.content.trim().is_empty() => Ok(messages),
        _ => Err(format!("`{key}` doesn't end with an answer of an assistant")),
    }
}

/// The messages of a line.
fn messages(object: &Map<String, Value>, form: Option<Form>) -> Result<Vec<Message>, String> {
    if object.contains_key("chosen") && object.contains_key("rejected") && !object.contains_key("messages") {
        return Err("it has two answers, `chosen` and `rejected`, from which `[preference.dpo]` learns".to_owned());
    }
    let form = form.map_or_else(|| form_of(object), Ok)?;
    let messages = match form {
        Form::Messages => listed(object, "messages", ["role", "content"], role)?,
        Form::ShareGpt => listed(object, "conversations", ["from", "value"], speaker)?,
        Form::Alpaca => instructed(object)?,
        Form::Completion => {
            vec![
                Message::new("user", &text(object, "prompt")?),
                Message::new("assistant", &text(object, "completion")?),
            ]
        }
    };
    let answers = || messages.iter().filter(|message| message.role == "assistant");
    match answers().next() {
        None => Err("nobody answers: it has no message of an assistant".to_owned()),
        Some(_) if answers().any(|answer| answer.content.trim().is_empty()) => Err("an answer is empty".to_owned()),
        Some(_) => Ok(messages),
    }
}

/// By the keys that each form has.
fn form_of(object: &Map<String, Value>) -> Result<Form, String> {
    let forms = [
        (Form::Messages, "messages"),
        (Form::ShareGpt, "conversations"),
        (Form::Alpaca, "instruction"),
        (Form::Completion, "prompt"),
    ];
    let found = forms.into_iter().find(|(_, key)| object.contains_key(*key)).map(|(form, _)| form);
    found.ok_or_else(|| {
        let keys = forms.map(|(_, key)| format!("`{key}`")).join(", ");
        format!("it has none of the keys {keys}")
    })
}

/// Messages of a list of objects with these two keys.
fn listed(
    object: &Map<String, Value>,
    key: &str,
    [who, what]: [&str; 2],
    role: fn(&str) -> Option<&'static str>,
) -> Result<Vec<Message>, String> {
    let list = object.get(key).and_then(Value::as_array).ok_or_else(|| format!("`{key}` is no list"))?;
    let message = |(index, message): (usize, &Value)| {
        let problem = |problem: String| format!("`{key}[{index}]`: {problem}");
        let object = message.as_object().ok_or_else(|| problem("it is no object".to_owned()))?;
        let name = text(object, who).map_err(problem)?;
        let role = role(&name).ok_or_else(|| problem(format!("unknown role {name:?}")))?;
        Ok(Message::new(role, &text(object, what).map_err(problem)?))
    };
    list.iter().enumerate().map(message).collect()
}

fn role(name: &str) -> Option<&'static str> {
    ROLES.into_iter().find(|role| *role == name)
}

/// The roles by the names that ShareGPT gives them.
fn speaker(name: &str) -> Option<&'static str> {
    match name {
        "human" | "user" => Some("user"),
        "gpt" | "chatgpt" | "assistant" | "model" | "bot" => Some("assistant"),
        "system" => Some("system"),
        "tool" | "observation" => Some("tool"),
        _ => None,
    }
}

/// An instruction, what it is about, and the answer.
fn instructed(object: &Map<String, Value>) -> Result<Vec<Message>, String> {
    let instruction = text(object, "instruction")?;
    let input = if object.contains_key("input") { text(object, "input")? } else { String::new() };
    let asked = if input.trim().is_empty() { instruction } else { format!("{instruction}\n\n{input}") };
    let system = object.get("system").map(|_| text(object, "system")).transpose()?;
    let system = system.filter(|text| !text.is_empty()).map(|text| Message::new("system", &text));
    let rest = [Message::new("user", &asked), Message::new("assistant", &text(object, "output")?)];
    Ok(system.into_iter().chain(rest).collect())
}

/// A text, or the texts of a list of parts.
fn text(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let part = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned);
            let parts: Option<Vec<String>> = parts.iter().map(part).collect();
            parts.map(|parts| parts.concat()).ok_or_else(|| format!("`{key}` has a part that is no text"))
        }
        Some(_) => Err(format!("`{key}` is no text")),
        None => Err(format!("it has no `{key}`")),
    }
}
