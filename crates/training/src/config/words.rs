//! The words that nanoGPT and PyTorch have for what is configured here.

/// A word of theirs, the key that it is here, and what else is to say. The table "Coming from nanoGPT" of
/// `configs/README.md` is the same, which the tests make sure of.
pub(super) const WORDS: [(&str, &str, &str); 34] = [
    ("dataset", "data.file.paths", "the text itself, not a folder that was prepared"),
    ("vocab_size", "tokenizer.byte-pair.vocabulary-size", "the model takes it from the tokenizer"),
    ("n_layer", "model.transformer.layers", ""),
    ("n_head", "model.transformer.heads", ""),
    ("n_embd", "model.transformer.width", ""),
    ("d_model", "model.transformer.width", ""),
    ("dropout", "model.transformer.dropout", "recurrent models have one too"),
    ("bias", "model.transformer.bias", ""),
    ("hidden_size", "model.lstm.hidden", ""),
    ("num_layers", "model.lstm.layers", ""),
    ("learning_rate", "schedule.cosine.rate", "every schedule has its own `rate`"),
    ("lr", "schedule.cosine.rate", "every schedule has its own `rate`"),
    ("min_lr", "schedule.cosine.final-rate", ""),
    ("warmup_iters", "schedule.cosine.warmup", ""),
    ("warmup_steps", "schedule.cosine.warmup", ""),
    ("lr_decay_iters", "schedule.cosine.steps", "left out, the schedule ends with the run"),
    ("weight_decay", "optimizer.adamw.weight-decay", ""),
    ("betas", "optimizer.adamw.betas", ""),
    ("beta1", "optimizer.adamw.betas", "both in one list"),
    ("beta2", "optimizer.adamw.betas", "both in one list"),
    ("eps", "optimizer.adamw.epsilon", ""),
    ("momentum", "optimizer.sgd.momentum", ""),
    ("grad_clip", "run.clip-norm", ""),
    ("max_iters", "run.steps", ""),
    ("max_steps", "run.steps", ""),
    (
        "epochs",
        "run.steps",
        "one pass over the text: its tokens / (`run.batch` x `run.context` x `run.accumulate`) steps",
    ),
    (
        "num_epochs",
        "run.steps",
        "one pass over the text: its tokens / (`run.batch` x `run.context` x `run.accumulate`) steps",
    ),
    ("batch_size", "run.batch", ""),
    ("block_size", "run.context", ""),
    ("gradient_accumulation_steps", "run.accumulate", ""),
    ("eval_interval", "run.evaluate-every", ""),
    ("eval_iters", "run.evaluate-fraction", "a part of the split, not a number of batches"),
    ("log_interval", "run.log-every", ""),
    ("max_new_tokens", "run.sample-tokens", "of samples while training"),
];

/// What an unknown key is called here, if it is one of those words.
pub fn explain(key: &str) -> Option<String> {
    let key = key.to_lowercase().replace('-', "_");
    let (word, here, more) = WORDS.iter().find(|(word, ..)| *word == key)?;
    let more = if more.is_empty() { String::new() } else { format!("; {more}") };
    Some(format!("`{word}` is `{here}` here{more}"))
}
