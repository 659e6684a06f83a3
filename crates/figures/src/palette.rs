//! The colours of the curves.

/// The first eight stay apart for colour-blind readers and on a weak projector: the hues of Okabe and Ito without their
/// yellow, which vanishes on white, with a darker purple, and a brown. The others are for the rare chart with more.
const COLOURS: [&str; 16] = [
    "#0072b2", "#d55e00", "#009e73", "#aa3377", "#e69f00", "#56b4e9", "#222222", "#663300", "#332288", "#cc6677",
    "#117733", "#b5a100", "#44aa99", "#999999", "#777711", "#6699cc",
];

/// The colour at a place of the palette, which starts again when it ends.
pub(super) fn colour(place: usize) -> &'static str {
    COLOURS[place % COLOURS.len()]
}
