//! What published models need: tokens before the prompt, further end tokens, rows for which there is no token.

use super::*;

#[test]
fn the_start_is_read_before_the_prompt_and_has_no_text() {
    let tokenizer = characters("abc");
    let b = tokenizer.encode("b").unwrap()[0];
    // Writes what it read first.
    let logits = |text: &[u32]| (0..3).map(|token| if token == text[0] { 9.0 } else { 0.0 }).collect();
    let greedy = SamplerConfig { temperature: 0.0, ..SamplerConfig::default() };
    let written = |start: Vec<u32>, prompt: &str| {
        let request = Request { start, ..request(prompt, 2, greedy.clone()) };
        run(Generation::new(Box::new(Oracle::new(3, logits)), &tokenizer, &request).unwrap()).0
    };
    assert_eq!(written(Vec::new(), "ac"), "aa");
    assert_eq!(written(vec![b], "ac"), "bb");
    // A document begins behind the start alone.
    assert_eq!(written(vec![b], ""), "bb");
}

#[test]
fn each_of_the_end_tokens_ends_the_text() {
    let tokenizer = characters("abc");
    let [a, b, c] = ["a", "b", "c"].map(|text| tokenizer.encode(text).unwrap()[0]);
    for end in [b, c] {
        let request = Request { end: vec![b, c], ..request("a", 9, SamplerConfig::default()) };
        let (text, tokens, finish) = run(scripted(&tokenizer, vec![a, a, end, a], &request));
        assert_eq!((text.as_str(), tokens, finish), ("aa", vec![a, a, end], Some(Finish::EndToken)));
    }
}

#[test]
fn a_row_without_a_token_is_never_written() {
    let tokenizer = characters("ab");
    // Rows 2 and 3 are by far the likeliest.
    let logits = |_: &[u32]| vec![0.0, 1.0, 50.0, 60.0];
    let request = request("a", 20, SamplerConfig { temperature: 1.0, ..SamplerConfig::default() });
    let (_, tokens, _) = run(Generation::new(Box::new(Oracle::new(4, logits)), &tokenizer, &request).unwrap());
    assert!(tokens.len() == 20 && tokens.iter().all(|token| *token < 2), "{tokens:?}");
}
