//! Sizes with units that people read.

/// `12.5 MiB`
pub(crate) fn bytes(count: u64) -> String {
    scaled(count as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// `12.5 GFLOP`
pub(crate) fn operations(count: f64) -> String {
    scaled(count, 1000.0, &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"])
}

fn scaled(mut count: f64, base: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while count >= base && unit + 1 < units.len() {
        count /= base;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && count < 100.0);
    format!("{count:.decimals$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_that_people_read() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(300 << 20), "300 MiB");
        assert_eq!(operations(4.96e6), "5.0 MFLOP");
        assert_eq!(operations(2e30), "2000000000000 EFLOP");
    }
}
