//! Conversations by a template.

use minijinja::Value;
use serde::{Deserialize, Serialize};

use super::error::ChatError;
use super::tokens;
use crate::Tokenizer;
use crate::saved::ChatTemplate;
use crate::template::{Size, Template, pairs};

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
/// use kiln_models::saved::ChatTemplate;
/// use kiln_models::{ChatFormat, Message};
///
/// let source = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}\
///               {% if add_generation_prompt %}assistant:{% endif %}";
/// let format = ChatFormat::new(&ChatTemplate { source: source.to_owned(), tokens: Default::default() })?;
/// assert_eq!(format.render(&[Message::new("user", "Hello!")])?, "user: Hello!\nassistant:");
/// # Ok::<(), kiln_models::ChatError>(())
/// ```
#[derive(Debug)]
pub struct ChatFormat {
    template: Template,
    tokens: Value,
}

impl ChatFormat {
    /// Reads a template.
    ///
    /// # Errors
    /// It isn't one.
    pub fn new(template: &ChatTemplate) -> Result<Self, ChatError> {
        Ok(Self { template: Template::new(&template.source)?, tokens: pairs(&template.tokens) })
    }

    /// The text of a conversation, up to where the model answers.
    ///
    /// # Errors
    /// The template refuses the messages, fails, or doesn't end.
    pub fn render(&self, messages: &[Message]) -> Result<String, ChatError> {
        self.rendered(messages, true)
    }

    /// The text of a conversation; with `answered` up to where the model answers, else as far as it was held.
    pub(super) fn rendered(&self, messages: &[Message], answered: bool) -> Result<String, ChatError> {
        let context = minijinja::context! {
            messages => messages.iter().map(Message::value).collect::<Vec<Value>>(),
            add_generation_prompt => answered,
            tools => (),
            documents => (),
            ..self.tokens.clone(),
        };
        let bytes = messages.iter().map(|message| message.content.len()).sum();
        Ok(self.template.render(context, Size { values: messages.len(), bytes })?)
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
