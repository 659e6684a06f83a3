#![no_main]
//! `tokenizer.json`, and a little text through whatever it describes.
use kiln_models::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    let Ok(tokenizer) = Tokenizer::from_json(json.to_owned()) else { return };
    if let Ok(tokens) = tokenizer.encode("Once upon a time: it's 12 naïve 東京 <|end|>\n") {
        assert!(tokens.iter().all(|token| (*token as usize) < tokenizer.vocabulary_size()));
        tokenizer.decode(&tokens);
    }
});
