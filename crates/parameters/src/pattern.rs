//! Patterns of parameters' paths.

/// Whether a path fits a pattern, in which `*` stands for any characters, also none, dots included:
///
/// ```
/// use kiln_parameters::fits;
///
/// assert!(fits("blocks.1.*", "blocks.1.attention.output.weight"));
/// assert!(fits("*.bias", "layers.0.bias") && !fits("*.bias", "layers.0.bias_scale"));
/// ```
pub fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = path.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The first place is the best: it leaves the most for the parts behind it.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether a path fits one of the patterns `only`, or there are none, and none of `except`.
pub fn is_chosen(only: &[String], except: &[String], path: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, path));
    (only.is_empty() || any(only)) && !any(except)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, path, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b", "b", false),
            ("*", "", true),
            ("*", "a.b", true),
            ("a*", "a", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*.b.*", "a.b.c", true),
            ("*.b.*", "a.b", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*bc*c", "abc", false),
            ("blocks.1.*", "blocks.10.norm", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_excepted_is_not_chosen() {
        let list = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
        let (blocks, norms) = (list(&["blocks.*"]), list(&["*norm*"]));
        assert!(is_chosen(&[], &[], "head"));
        assert!(is_chosen(&blocks, &norms, "blocks.0.output"));
        assert!(!is_chosen(&blocks, &norms, "blocks.0.norm.weight"));
        assert!(!is_chosen(&blocks, &[], "head"));
        assert!(is_chosen(&[], &norms, "head"));
    }
}
