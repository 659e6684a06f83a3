//! Numbers as they stand beside an axis.

/// `10⁻³`
pub(super) fn power_of_ten(exponent: i32) -> String {
    let exponent = exponent.to_string();
    let raised = exponent.chars().map(|character| match character {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        // Zero and the digits from four on stand in a row in Unicode.
        digit => digit.to_digit(10).and_then(|digit| char::from_u32(0x2070 + digit)).unwrap_or(digit),
    });
    format!("10{}", raised.collect::<String>())
}

/// A number with as many decimals as its neighbours in this distance need.
pub(super) fn fixed(value: f64, step: f64) -> String {
    let decimals = decimals(step);
    let text = format!("{value:.decimals$}");
    // A zero that was rounded from below.
    if text.trim_start_matches('-').chars().all(|character| matches!(character, '0' | '.')) {
        return format!("{:.decimals$}", 0.0);
    }
    text.replace('-', "−")
}

/// `2.5·10⁶`, with the power of ten of the largest number on the axis.
pub(super) fn in_units_of(largest: f64, value: f64, step: f64) -> String {
    if value.abs() < 1e-6 * step {
        return "0".into();
    }
    let exponent = (largest.log10() + 1e-9).floor();
    // Not by a negative power, which is not a number that binary fractions hold.
    let in_units =
        |number: f64| if exponent < 0.0 { number * 10f64.powf(-exponent) } else { number / 10f64.powf(exponent) };
    format!("{}·{}", fixed(in_units(value), in_units(step)), power_of_ten(exponent as i32))
}

/// `2.5 M`, in thousands, millions or milliards, by the largest number on the axis.
pub(super) fn with_prefix(largest: f64, value: f64, step: f64) -> String {
    if value.abs() < 1e-6 * step {
        return "0".into();
    }
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (unit, prefix) = units.into_iter().find(|(unit, _)| largest >= *unit * (1.0 - 1e-9)).unwrap_or((1.0, ""));
    format!("{} {prefix}", fixed(value / unit, step / unit))
}

/// How many decimals tell apart what is this far apart.
fn decimals(step: f64) -> usize {
    let wanted = (0..=12).find(|&decimals| {
        let scaled = step * 10f64.powi(decimals);
        (scaled - scaled.round()).abs() < 1e-6 * scaled && scaled.round() >= 1.0
    });
    wanted.unwrap_or(12) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_on_a_blackboard() {
        assert_eq!(power_of_ten(-16), "10⁻¹⁶");
        assert_eq!(power_of_ten(1023), "10¹⁰²³");
        assert_eq!(fixed(0.30000000000000004, 0.1), "0.3");
        assert_eq!(fixed(-1e-18, 0.5), "0.0");
        assert_eq!(fixed(-2.0, 1.0), "−2");
        assert_eq!(fixed(1.00025, 0.00025), "1.00025");
        assert_eq!(in_units_of(3e6, 2.5e6, 5e5), "2.5·10⁶");
        assert_eq!(in_units_of(3e6, 5e5, 5e5), "0.5·10⁶");
        assert_eq!(in_units_of(6e-5, 3e-5, 1e-5), "3·10⁻⁵");
        assert_eq!(in_units_of(6e-5, 0.0, 1e-5), "0");
        assert_eq!(with_prefix(3e6, 2.5e6, 5e5), "2.5 M");
        assert_eq!(with_prefix(4e5, -2e4, 2e4), "−20 k");
        assert_eq!(with_prefix(1e9, 1e9, 2.5e8), "1.00 G");
        assert_eq!(with_prefix(4e5, 0.0, 2e4), "0");
    }
}
