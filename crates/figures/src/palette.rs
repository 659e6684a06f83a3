//! The colours of the curves.

/// Each has a contrast of 3 or more on white, and they stay apart for colour-blind readers and on a weak projector:
/// hues of Okabe and Ito, with darker ones for their yellow, orange and sky blue. From the ninth curve on they come
/// again, with hollow marks.
pub(super) const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#aa3377", "#222222", "#9e8ea7", "#6a450b", "#696557"];

/// The colour at a place of the palette, which starts again when it ends.
pub(super) fn colour(place: usize) -> &'static str {
    COLOURS[place % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The luminance of the Web Content Accessibility Guidelines, from 0 for black to 1 for white.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn every_line_stands_out_on_white() {
        // Orange of Okabe and Ito, which the lab had: 2.25.
        assert!((1.05 / (luminance("#e69f00") + 0.05) - 2.25).abs() < 0.01);
        for colour in COLOURS.iter().chain([&crate::style::CONTOUR]) {
            let contrast = 1.05 / (luminance(colour) + 0.05);
            assert!(contrast >= 3.0, "{colour}: {contrast}");
        }
    }
}
