use super::*;
use crate::generate::Draft;
use crate::grammar::Grammar;

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "name": { "type": "string", "maxLength": 6 },
        "age": { "type": "integer", "minimum": 10, "maximum": 99 },
        "tags": { "type": "array", "items": { "enum": ["red", "blue"] }, "minItems": 1, "maxItems": 2 }
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": false
}"#;

/// A transformer over 257 tokens with a context that holds every text here.
fn model(vocabulary: usize) -> LanguageModel {
    let table = TransformerConfig { layers: 1, heads: 2, width: 16, ..TransformerConfig::default() };
    ModelConfig::Transformer(table).init(vocabulary, 256, 1, &Device::flex()).map(&mut Redraw(4))
}

fn write(tokenizer: &Tokenizer, grammar: Grammar, max_tokens: usize, seed: u64) -> (String, Option<Finish>) {
    let sampler = SamplerConfig { temperature: 1.0, seed, ..SamplerConfig::default() };
    let request = Request { grammar: Some(grammar), ..request("a", max_tokens, sampler) };
    let model = model(tokenizer.vocabulary_size());
    let mut generation = generate(&model, tokenizer, &request).unwrap();
    let text = generation.by_ref().map(|piece| piece.unwrap().text).collect();
    (text, generation.finish())
}

#[test]
fn what_is_written_under_a_schema_is_json_that_holds_to_it() {
    let tokenizer = bytes();
    for seed in 0..8 {
        let (text, finish) = write(&tokenizer, Grammar::JsonSchema(SCHEMA.to_owned()), 250, seed);
        if finish == Some(Finish::Length) {
            // White space may go on for long.
            continue;
        }
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let object = value.as_object().unwrap();
        assert_eq!(object.keys().collect::<Vec<_>>(), ["name", "age", "tags"], "{text}");
        assert!(object["name"].as_str().unwrap().chars().count() <= 6, "{text}");
        assert!((10..=99).contains(&object["age"].as_i64().unwrap()), "{text}");
        let tags = object["tags"].as_array().unwrap();
        assert!((1..=2).contains(&tags.len()), "{text}");
        assert!(tags.iter().all(|tag| ["red", "blue"].contains(&tag.as_str().unwrap())), "{text}");
        assert_eq!(finish, Some(Finish::Grammar));
    }
}

#[test]
fn an_expression_is_matched_as_a_whole_by_bytes_and_by_characters() {
    let expression = || Grammar::Regex("[a-c]{2}(é|x)[0-9]".to_owned());
    // A character of two bytes; without it in the vocabulary, the other one is written.
    let mut accents = 0;
    for seed in 0..12 {
        let (text, finish) = write(&bytes(), expression(), 20, seed);
        let found: Vec<char> = text.chars().collect();
        assert!(matches!(found[..], ['a'..='c', 'a'..='c', 'é' | 'x', '0'..='9']), "{text:?}");
        assert_eq!(finish, Some(Finish::Grammar));
        accents += usize::from(text.contains('é'));
        let (text, finish) = write(&characters("abcx0123"), expression(), 20, seed);
        let found: Vec<char> = text.chars().collect();
        assert!(matches!(found[..], ['a'..='c', 'a'..='c', 'x', '0'..='3']), "{text:?}");
        assert_eq!(finish, Some(Finish::Grammar));
    }
    assert!((1..12).contains(&accents), "{accents}");
}

#[test]
fn the_end_token_comes_where_the_grammar_may_end_and_nowhere_else() {
    let tokenizer = bytes();
    let end = tokenizer.end_token().unwrap();
    // The end token is always the likeliest; behind it "b".
    let logits = move |_: &[u32]| {
        let mut logits = vec![0.0; 257];
        logits[end as usize] = 9.0;
        logits[usize::from(b'b')] = 5.0;
        logits
    };
    let found = |expression: &str| {
        let grammar = Some(Grammar::Regex(expression.to_owned()));
        let request = Request { grammar, ..request("a", 10, SamplerConfig::greedy()) };
        let reader = Oracle::new(257, logits);
        let mut generation = Generation::new(Box::new(reader), &tokenizer, &request).unwrap();
        let text: String = generation.by_ref().map(|piece| piece.unwrap().text).collect();
        (text, generation.finish())
    };
    assert_eq!(found("b{3,}"), ("bbb".to_owned(), Some(Finish::EndToken)));
    assert_eq!(found("b{3}"), ("bbb".to_owned(), Some(Finish::Grammar)));
    assert_eq!(found("(ab)+"), ("ab".to_owned(), Some(Finish::EndToken)));
    assert_eq!(found("b{20,}"), ("b".repeat(10), Some(Finish::Length)));
}

#[test]
fn a_context_free_grammar_nests() {
    let grammar = Grammar::Lark("start: pair\npair: \"(\" pair? \")\" | \"[\" pair? \"]\"\n".to_owned());
    for seed in 0..10 {
        let (text, finish) = write(&characters("()[]a"), grammar.clone(), 200, seed);
        let mut open = Vec::new();
        for character in text.chars() {
            match character {
                '(' => open.push(')'),
                '[' => open.push(']'),
                closing => assert_eq!(open.pop(), Some(closing), "{text}"),
            }
        }
        assert!(open.is_empty() || finish == Some(Finish::Length), "{text}");
    }
}

#[test]
fn a_grammar_without_sense_or_without_a_text_is_refused_in_plain_words() {
    let tokenizer = characters("abc");
    let model = model(3);
    let refused = |grammar: Grammar| {
        let request = Request { grammar: Some(grammar), ..request("a", 9, SamplerConfig::greedy()) };
        match generate(&model, &tokenizer, &request) {
            Ok(generation) => generation.filter_map(Result::err).map(|error| error.to_string()).next().unwrap(),
            Err(error) => error.to_string(),
        }
    };
    let regex = |expression: &str| refused(Grammar::Regex(expression.to_owned()));
    for (found, words) in [
        (regex("(a"), "the regular expression cannot be used"),
        (
            regex("x+"),
            "the regular expression allows no text here that the model's vocabulary can spell: not even a first",
        ),
        (regex("abx"), "can spell: no token after the first 2"),
        (regex("[a&&b]"), "not even a first token"),
        (refused(Grammar::JsonSchema("{".to_owned())), "the JSON schema cannot be used: it is no JSON"),
        (refused(Grammar::JsonSchema("{\"type\": \"nothing\"}".to_owned())), "the JSON schema cannot be used"),
        (refused(Grammar::JsonSchema("false".to_owned())), "the JSON schema"),
        (refused(Grammar::Lark("start: missing\n".to_owned())), "the grammar cannot be used"),
        (refused(Grammar::Lark(String::new())), "the grammar cannot be used"),
    ] {
        assert!(found.contains(words), "{words} is not in {found}");
        assert!(!found.contains('\n') && found.len() < 400, "{found}");
    }
}

#[test]
fn guesses_hold_to_a_grammar_too() {
    let (tokenizer, model, other) = (bytes(), model(257), model(257).map(&mut Redraw(9)));
    let grammar = Some(Grammar::Regex("([a-d]{4} ){8}".to_owned()));
    let plain = Request { grammar, ..request("abcd ", 60, SamplerConfig::greedy()) };
    let expected = run(generate(&model, &tokenizer, &plain).unwrap());
    assert_eq!(expected.1.len(), 40);
    let request = Request { speculate: 4, ..plain };
    assert_eq!(run(generate(&model, &tokenizer, &request).unwrap()), expected);
    let mut draft = Draft::new(&other);
    assert_eq!(run(generate(&model, &tokenizer, &request).unwrap().with_draft(&mut draft).unwrap()), expected);
}

/// As published tokenizers without a byte-level alphabet have it: `▁` for a space, bytes as `<0x..>`.
#[test]
fn a_vocabulary_of_pieces_and_single_bytes_spells_a_grammar() {
    let pieces = ["<unk>", "\u{2581}", "a", "b", "\u{2581}b", "<0xC3>", "<0xA9>"];
    let vocabulary: Vec<String> = pieces.iter().enumerate().map(|(id, piece)| format!("{piece:?}: {id}")).collect();
    let json = format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null,
        "post_processor": null,
        "added_tokens": [{{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}}],
        "decoder": {{"type": "Sequence", "decoders": [
            {{"type": "Replace", "pattern": {{"String": "▁"}}, "content": " "}}, {{"type": "ByteFallback"}},
            {{"type": "Fuse"}}, {{"type": "Strip", "content": " ", "start": 1, "stop": 0}}]}},
        "model": {{"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": {{{}}}, "merges": []}}}}"#,
        vocabulary.join(", ")
    );
    let tokenizer = Tokenizer::from_json(json).unwrap();
    let spelled: Vec<Vec<u8>> = ["", " ", "a", "b", " b"].iter().map(|text| text.as_bytes().to_vec()).collect();
    assert_eq!(tokenizer.bytes_of_tokens(), [&spelled[..], &[vec![0xC3], vec![0xA9]]].concat());
    for seed in 0..5 {
        let (text, finish) = write(&tokenizer, Grammar::Regex("a( b){2}é".to_owned()), 20, seed);
        assert_eq!((text.as_str(), finish), ("a b bé", Some(Finish::Grammar)));
    }
}
