//! Writing after tokens instead of a text, and beyond the end token.

use super::*;
use crate::generate::generate_after;

#[test]
fn the_tokens_of_a_text_are_continued_as_the_text_is() {
    let tokenizer = bytes();
    let sampler = SamplerConfig { repetition_penalty: Some(1.3), ..SamplerConfig::default() };
    let models = models();
    for model in &models {
        let expected = run(generate(model, &tokenizer, &request("hello", 20, sampler.clone())).unwrap());
        let prompt = tokenizer.encode("hello").unwrap();
        assert_eq!(
            run(generate_after(model, &tokenizer, &prompt, &request("not read", 20, sampler.clone())).unwrap()),
            expected
        );
    }
    let unknown = generate_after(&models[0], &tokenizer, &[257], &request("", 1, sampler));
    assert!(matches!(unknown, Err(GenerateError::UnknownToken { token: 257, vocabulary: 257 })));
}

#[test]
fn past_the_end_token_as_many_tokens_come_as_were_asked_for() {
    let tokenizer = bytes();
    let end = tokenizer.end_token().unwrap();
    let script = vec![u32::from(b'a'), end, u32::from(b'b'), end, u32::from(b'c')];
    let generation = scripted(&tokenizer, script.clone(), &request("x", 5, SamplerConfig::default()));
    let (_, tokens, finish) = run(generation.past_end_token());
    assert_eq!((tokens, finish), (script, Some(Finish::Length)));
}
