//! Averages over time of each repeat: what is compared with an exact expectation.

/// A stretch of updates, with the mean error of each repeat over it.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The first evaluation, counted from 0.
    pub first: usize,
    /// The one after the last.
    pub end: usize,
    /// The mean of F(w_t) - F* over the evaluations, for each repeat.
    pub means: Vec<f64>,
}

/// A sixteenth of a path is the longest window.
const LONGEST: usize = 16;

impl Window {
    /// The windows of a path: one evaluation, one, two, four, ... until a sixteenth of the path, then as long ones to
    /// its end. Short ones at the start see what changes fast; there are some twenty to thirty in all, so that a
    /// statement about each of them costs little power, and an average over time has less of a tail than a single
    /// error.
    pub(crate) fn all(evaluations: usize, repeats: usize) -> Vec<Self> {
        let longest = (evaluations / LONGEST).max(1);
        let mut windows: Vec<Self> = Vec::new();
        let (mut first, mut length) = (0, 1);
        while first < evaluations {
            let end = (first + length).min(evaluations);
            windows.push(Self { first, end, means: vec![0.0; repeats] });
            length = if first == 0 { 1 } else { (2 * length).min(longest) };
            first = end;
        }
        windows
    }

    /// Takes in the error of each repeat at one evaluation of the window.
    pub(crate) fn add(&mut self, errors: &[f64]) {
        let part = 1.0 / (self.end - self.first) as f64;
        self.means.iter_mut().zip(errors).for_each(|(mean, error)| *mean += error * part);
    }

    /// The largest repeat's part of the sum of all.
    pub(crate) fn largest_share(&self) -> f64 {
        let sum = self.means.iter().sum::<f64>();
        self.means.iter().copied().fold(0.0, f64::max) / sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_double_up_to_a_sixteenth_of_the_path_and_cover_it() {
        let lengths: Vec<usize> = Window::all(80, 1).iter().map(|window| window.end - window.first).collect();
        assert_eq!(lengths, [1, 1, 2, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 2]);
        // Twelve up to 2048 evaluations, then fifteen of 1875.
        assert_eq!(Window::all(30_001, 1).len(), 27);
    }

    #[test]
    fn a_window_has_the_mean_of_each_repeat() {
        let mut window = Window { first: 3, end: 5, means: vec![0.0; 2] };
        window.add(&[1.0, 10.0]);
        window.add(&[3.0, 2.0]);
        assert_eq!(window.means, [2.0, 6.0]);
        assert_eq!(window.largest_share(), 0.75);
    }
}
