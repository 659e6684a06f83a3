#![no_main]
//! The template of conversations of a model.
use kiln_models::{ChatFormat, Message};
use kiln_models::saved::ChatTemplate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    let template = ChatTemplate { source: source.to_owned(), tokens: Default::default() };
    let Ok(format) = ChatFormat::new(&template) else { return };
    let messages = [("system", "Be brief."), ("user", "What is this?"), ("assistant", "That."), ("user", "Thanks!\n")];
    if let Err(error) = format.render(&messages.map(|(role, content)| Message::new(role, content))) {
        assert!(error.to_string().starts_with("the chat template"), "{error}");
    }
});
