//! Text behind a prompt, and documents, with tokenizers that Kiln did not make.

use serde_json::{Value, json};

use super::super::Tokenizer;

fn tokenizer(model: Value, pre_tokenizer: Value, decoder: Value, added: &[(u32, &str)]) -> Tokenizer {
    let added: Vec<Value> = added
        .iter()
        .map(|(id, content)| {
            json!({
                "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        })
        .collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder, "model": model,
    });
    Tokenizer::from_json(file.to_string()).expect("it is a tokenizer")
}

/// As `BertPreTokenizer` and `decoders.WordPiece` make it: the 0, cat 1, sat 2, ##s 3.
fn word_piece() -> Tokenizer {
    let model = json!({
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": {"the": 0, "cat": 1, "sat": 2, "##s": 3, "[UNK]": 4},
    });
    let decoder = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    tokenizer(model, json!({"type": "BertPreTokenizer"}), decoder, &[])
}

/// As `Metaspace` makes it, for pre-tokenizer and decoder: \u{2581}the 1, \u{2581}cat 2, \u{2581} 3, s 4, a 5, t 6.
fn unigram() -> Tokenizer {
    let pieces = ["<unk>", "\u{2581}the", "\u{2581}cat", "\u{2581}", "s", "a", "t"];
    let model = json!({"type": "Unigram", "unk_id": 0, "vocab": pieces.map(|piece| json!([piece, -1.0]))});
    let space = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    tokenizer(model, space.clone(), space, &[])
}

/// As `decoders.BPEDecoder` has it: a word ends with its suffix.
fn suffixes() -> Tokenizer {
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": "?", "continuing_subword_prefix": null,
        "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "vocab": {"the</w>": 0, "cat</w>": 1, "sat</w>": 2, "?": 3}, "merges": [],
    });
    tokenizer(model, json!({"type": "Whitespace"}), json!({"type": "BPEDecoder", "suffix": "</w>"}), &[])
}

/// What comes of `tokens` one by one behind `before`.
fn continued(tokenizer: &Tokenizer, before: &[u32], tokens: &[u32]) -> String {
    let mut decoder = tokenizer.decoder_after(before);
    let text: String = tokens.iter().filter_map(|token| decoder.push(*token)).collect();
    text + &decoder.finish()
}

#[test]
fn the_space_between_a_text_and_its_continuation_is_kept() {
    let tokenizer = word_piece();
    assert_eq!(tokenizer.encode("the cat").expect("it is known"), [0, 1]);
    assert_eq!(continued(&tokenizer, &[0, 1], &[2, 0, 1]), " sat the cat");
    // The rest of a word stands behind it without a space, and without the sign of a rest.
    assert_eq!(continued(&tokenizer, &[0, 1], &[3, 2]), "s sat");
    assert_eq!(continued(&tokenizer, &[], &[2, 0]), "sat the");

    let tokenizer = unigram();
    assert_eq!(tokenizer.encode("the cat").expect("it is known"), [1, 2]);
    assert_eq!(continued(&tokenizer, &[1, 2], &[3, 4, 5, 6]), " sat");
    assert_eq!(continued(&tokenizer, &[1, 2], &[3]), " ");
    assert_eq!(continued(&tokenizer, &[1, 2], &[4]), "s");
    assert_eq!(continued(&tokenizer, &[], &[1, 2]), "the cat");

    assert_eq!(continued(&suffixes(), &[0, 1], &[2, 0]), " sat the");
    // As long a prompt as any: its end decides.
    assert_eq!(continued(&unigram(), &[2; 500], &[1]), " the");
}

#[test]
fn a_document_ends_with_the_special_token_of_the_tokenizer() {
    let model = || {
        json!({
            "type": "WordLevel", "unk_token": "?",
            "vocab": {"a": 0, "?": 1, "</s>": 2, "<|endoftext|>": 3, "<|end|>": 4},
        })
    };
    let end = |added: &[(u32, &str)]| tokenizer(model(), json!({"type": "Whitespace"}), Value::Null, added).end_token();
    assert_eq!(end(&[(3, "<|endoftext|>")]), Some(3));
    assert_eq!(end(&[(2, "</s>")]), Some(2));
    // Kiln's own goes first.
    assert_eq!(end(&[(3, "<|endoftext|>"), (4, "<|end|>")]), Some(4));
    // A word of the vocabulary that looks like one is a word.
    assert_eq!(end(&[]), None);
}
