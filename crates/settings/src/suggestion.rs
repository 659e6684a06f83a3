//! "Did you mean": the known word nearest to a mistyped one.

/// The candidate that was most likely meant by `typed`, if any is near enough.
///
/// Case and the choice between `_` and `-` do not count. Otherwise one slip (a letter too many, too few, wrong, or two
/// swapped) is allowed in a short word and one more for every three further letters, and so is a word cut short or
/// continued.
pub fn nearest<'a>(typed: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let typed = normal(typed);
    candidates
        .iter()
        .filter_map(|candidate| distance(&typed, &normal(candidate)).map(|distance| (distance, *candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether two words differ only in case and in `_` against `-`.
pub(crate) fn same_word(a: &str, b: &str) -> bool {
    normal(a) == normal(b)
}

fn normal(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}

fn distance(typed: &str, candidate: &str) -> Option<usize> {
    let slips = strsim::damerau_levenshtein(typed, candidate);
    let length = typed.chars().count().min(candidate.chars().count());
    let allowed = length / 3;
    if slips <= allowed.max(usize::from(length > 1)) {
        return Some(slips);
    }
    let continues = |short: &str, long: &str| short.len() >= 3 && long.starts_with(short);
    (continues(typed, candidate) || continues(candidate, typed)).then_some(slips)
}
