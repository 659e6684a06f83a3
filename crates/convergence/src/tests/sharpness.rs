//! The sharpness against eigenvalues that are known, or computed from the whole Hessian.

use nalgebra::DMatrix;

use super::support::{arithmetic, curves, problem};
use crate::device::numbers;
use crate::sharpness::Sharpness;

const NETWORK: &str = "[neural-network]\nhidden = 3\n[neural-network.data.generated]\nsamples = 40\nfeatures = 2\n";

#[test]
fn on_a_quadratic_it_is_the_largest_eigenvalue_everywhere() {
    let text = "title = \"t\"\nsteps = 40\nsharpness-every = 10\n\
                [problem.quadratic]\nspectrum = [0.1, 0.7, 2.5]\nvariance = 0.0\n\
                [[curves]]\nlabel = \"a\"\n[curves.schedule.constant]\nrate = 0.1\n";
    let made = curves(text);
    let (times, values): (Vec<u64>, Vec<f64>) = made[0].trace.sharpness.iter().copied().unzip();
    assert_eq!(times, [0, 10, 20, 30, 40]);
    assert!(values.iter().all(|value| (value / 2.5 - 1.0).abs() < 1e-5), "{values:?}");
}

#[test]
fn on_a_network_it_is_the_largest_eigenvalue_of_the_whole_hessian() {
    let (problem, arithmetic) = (problem(NETWORK).unwrap(), arithmetic());
    let start = problem.start();
    let d = start.len();
    let gradient =
        |weights: Vec<f64>| numbers(problem.gradient(arithmetic.tensor(weights, [1, d])).reshape([d])).unwrap();
    let column = |index: usize| {
        let moved = |by: f64| {
            let mut weights = start.clone();
            weights[index] += by;
            gradient(weights)
        };
        let (ahead, behind) = (moved(1e-5), moved(-1e-5));
        ahead.into_iter().zip(behind).map(|(ahead, behind)| (ahead - behind) / 2e-5).collect::<Vec<f64>>()
    };
    let hessian = DMatrix::from_vec(d, d, (0..d).flat_map(column).collect());
    let eigenvalues = (&hessian + hessian.transpose()).scale(0.5).symmetric_eigenvalues();
    let largest =
        eigenvalues.iter().copied().fold(0.0, |most: f64, value| if value.abs() > most.abs() { value } else { most });
    let found = Sharpness::new(&*problem, &arithmetic).at(&arithmetic.tensor(start.clone(), [1, d])).unwrap();
    assert!((found / largest - 1.0).abs() < 1e-4, "{found}, not {largest}");
}
