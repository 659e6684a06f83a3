//! Numbers for people.

/// A number with four digits, in powers of ten if it is large or small.
pub fn number(value: f64) -> String {
    digits(value, 4)
}

/// Two numbers with as many digits, four or more, as it takes to tell them apart. One that somebody wrote, of eight
/// digits at most, has all of them.
pub fn apart(left: f64, right: f64) -> (String, String) {
    let pair = |count: i32| [left, right].map(|value| written(value).unwrap_or_else(|| digits(value, count)));
    let mut pairs = (4..=17).map(pair);
    let [left, right] = pairs.find(|[left, right]| left != right).unwrap_or_else(|| pair(4));
    (left, right)
}

/// A number of at most eight digits that count, with all of them.
fn written(value: f64) -> Option<String> {
    (4..=8).map(|count| digits(value, count)).find(|text| text.parse() == Ok(value))
}

/// A number with `count` digits that count.
fn digits(value: f64, count: i32) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if (1e-3..1e4).contains(&value.abs()) {
        let decimals = (count - 1 - value.abs().log10().floor() as i32).clamp(0, count + 2) as usize;
        let text = format!("{value:.decimals$}");
        return if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text };
    }
    let decimals = (count - 1) as usize;
    format!("{value:.decimals$e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_or_as_many_as_tell_two_apart() {
        assert_eq!(["0", "0.05", "12.35", "1.000e-9"], [0.0, 0.05, 12.345678, 1e-9].map(number)[..]);
        assert_eq!(apart(2.0001, 2.0), ("2.0001".into(), "2".into()));
        assert_eq!(apart(2.0001, 1.0), ("2.0001".into(), "1".into()));
        assert_eq!(apart(0.5, 1.0 / 3.0), ("0.5".into(), "0.3333".into()));
        assert_eq!(apart(1e-9, 2.5e-10), ("1.000e-9".into(), "2.500e-10".into()));
        assert_eq!(apart(0.1, 0.1), ("0.1".into(), "0.1".into()));
    }
}
