//! Which letters the font of a PNG has. An SVG is drawn with those of its reader.

use kuva::backend::png::PngBackend;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use super::style::theme;

/// A place in Unicode that never has a letter.
const NO_LETTER: char = '\u{10ffff}';

/// The letters of these texts that would come out as boxes, each once.
pub(super) fn missing<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<char> {
    let mut unsure: Vec<char> = texts.flat_map(str::chars).filter(|letter| !is_latin(*letter)).collect();
    unsure.sort_unstable();
    unsure.dedup();
    if unsure.is_empty() {
        return unsure;
    }
    let as_box = drawn(NO_LETTER);
    unsure.retain(|letter| drawn(*letter) == as_box);
    unsure
}

fn is_latin(letter: char) -> bool {
    letter < '\u{250}'
}

/// A picture of one letter, for kuva keeps its font to itself.
fn drawn(letter: char) -> Option<Vec<u8>> {
    let mut scene = Scene::new(40.0, 40.0);
    scene.background_color = Some(theme().background);
    scene.add(Primitive::Text {
        x: 10.0,
        y: 30.0,
        content: letter.into(),
        size: 20,
        anchor: TextAnchor::Start,
        rotate: None,
        bold: false,
        color: None,
    });
    PngBackend::new().with_scale(1.0).render_scene(&scene).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_without_a_glyph_are_found() {
        assert_eq!(missing(["η = 0.1/L, σ² → ∇F, Ж", "10⁻³"].into_iter()), []);
        assert_eq!(missing(["漢字 a 漢", "ηक"].into_iter()), ['क', '字', '漢']);
    }
}
