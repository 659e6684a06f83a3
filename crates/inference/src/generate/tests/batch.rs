//! Several texts at once.

use super::*;
use crate::generate::{Batch, batch, generate_batch};

/// Requests that differ in everything: prompts shorter and longer than the context, equal ones with different seeds, an
/// empty one, other lengths, stop texts, greedy choice, and nothing at all.
fn requests() -> Vec<Request> {
    let sampler = |seed| SamplerConfig { temperature: 1.0, top_k: Some(60), seed, ..SamplerConfig::default() };
    let stop = |letters: &str| letters.chars().map(String::from).collect();
    vec![
        request("hello", 20, sampler(1)),
        request("a prompt much longer than the context", 9, sampler(2)),
        request("hello", 31, sampler(3)),
        request("", 5, SamplerConfig::greedy()),
        request("never", 0, sampler(4)),
        Request { stop: stop("aeiou tnshr"), ..request("stop soon", 40, sampler(5)) },
        request("x", 14, SamplerConfig { repetition_penalty: Some(1.3), ..sampler(6) }),
    ]
}

/// Text and tokens of each request, and why it ended.
fn run_all(mut batch: Batch, requests: usize) -> Vec<(String, Vec<u32>, Option<Finish>)> {
    let mut texts = vec![(String::new(), Vec::new(), None); requests];
    for (request, piece) in batch.by_ref() {
        let piece = piece.unwrap();
        texts[request].0 += &piece.text;
        texts[request].1.push(piece.token);
    }
    assert!(batch.next().is_none());
    texts.iter_mut().enumerate().for_each(|(request, text)| text.2 = batch.finish(request));
    texts
}

#[test]
fn every_request_of_a_batch_gives_what_it_gives_alone() {
    let (tokenizer, requests) = (bytes(), requests());
    for model in models() {
        let alone: Vec<_> = requests.iter().map(|one| run(generate(&model, &tokenizer, one).unwrap())).collect();
        let together = run_all(generate_batch(&model, &tokenizer, &requests).unwrap(), requests.len());
        assert_eq!(together, alone);
        assert!(alone.iter().any(|(_, tokens, _)| tokens.len() > 3 * CONTEXT), "some text slides several times");
        let backwards: Vec<Request> = requests.iter().rev().cloned().collect();
        let mut together = run_all(generate_batch(&model, &tokenizer, &backwards).unwrap(), requests.len());
        together.reverse();
        assert_eq!(together, alone);
    }
}

/// What a reader is asked for: how many rows each time.
struct Counting<R> {
    inner: R,
    rows: std::rc::Rc<std::cell::RefCell<Vec<usize>>>,
}

impl<R: Reader> Reader for Counting<R> {
    fn vocabulary_size(&self) -> usize {
        self.inner.vocabulary_size()
    }

    fn read(&mut self, tokens: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        self.rows.borrow_mut().push(tokens.len());
        self.inner.read(tokens)
    }

    fn keep(&mut self, rows: &[usize]) {
        self.inner.keep(rows);
    }
}

#[test]
fn a_text_that_has_ended_is_read_no_more() {
    let tokenizer = bytes();
    let lengths = [3, 0, 1, 5];
    let requests = lengths.map(|length| request("x", length, SamplerConfig::default()));
    let rows = std::rc::Rc::default();
    let reader = Counting { inner: Oracle::new(257, hashed), rows: std::rc::Rc::clone(&rows) };
    let texts = run_all(batch(Box::new(reader), &tokenizer, &requests).unwrap().past_end_token(), requests.len());
    assert_eq!(texts.iter().map(|text| text.1.len()).collect::<Vec<_>>(), lengths);
    assert_eq!(*rows.borrow(), [3, 2, 2, 1, 1]);
}

#[test]
fn pieces_come_in_the_order_of_the_requests_token_by_token() {
    let tokenizer = bytes();
    let requests = [2, 1, 3].map(|length| request("x", length, SamplerConfig::default()));
    let written = batch(Box::new(Oracle::new(257, hashed)), &tokenizer, &requests).unwrap().past_end_token();
    assert_eq!(written.map(|(request, _)| request).collect::<Vec<_>>(), [0, 1, 2, 0, 2, 2]);
}

#[test]
fn logits_that_are_no_numbers_end_their_own_text_alone() {
    let tokenizer = characters("abc");
    let broken = |text: &[u32]| vec![if text.starts_with(&[1]) && text.len() > 1 { f32::NAN } else { 0.0 }; 3];
    let requests = ["a", "b", "c"].map(|prompt| request(prompt, 3, SamplerConfig::default()));
    let mut batch = batch(Box::new(Oracle::new(3, broken)), &tokenizer, &requests).unwrap();
    let failed: Vec<usize> = batch.by_ref().filter(|(_, piece)| piece.is_err()).map(|(request, _)| request).collect();
    assert_eq!(failed, [1]);
    assert_eq!([0, 1, 2].map(|row| batch.finish(row)), [Some(Finish::Length), None, Some(Finish::Length)]);
}

/// A device that fails at its second reading.
struct Failing(usize);

impl Reader for Failing {
    fn vocabulary_size(&self) -> usize {
        3
    }

    fn read(&mut self, tokens: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        self.0 += 1;
        if self.0 == 2 { Err("out of memory".into()) } else { Ok(vec![vec![0.0; 3]; tokens.len()]) }
    }

    fn keep(&mut self, _rows: &[usize]) {}
}

#[test]
fn a_device_that_fails_ends_every_text_with_its_error() {
    let tokenizer = characters("abc");
    let requests = ["a", "b"].map(|prompt| request(prompt, 3, SamplerConfig::default()));
    let mut batch = batch(Box::new(Failing(0)), &tokenizer, &requests).unwrap();
    let pieces: Vec<_> = batch.by_ref().collect();
    assert_eq!(
        pieces.iter().map(|(request, piece)| (*request, piece.is_ok())).collect::<Vec<_>>(),
        [(0, true), (1, true), (0, false), (1, false)]
    );
    assert!(matches!(&pieces[3].1, Err(GenerateError::Device(message)) if message == "out of memory"));
    assert_eq!([batch.finish(0), batch.finish(1)], [None, None]);
}

#[test]
fn no_requests_give_nothing() {
    assert!(generate_batch(&models()[0], &bytes(), &[]).unwrap().next().is_none());
}
