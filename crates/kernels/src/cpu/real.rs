//! The two types of numbers, with the functions that the operations need.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

/// `f32`, whose functions are written for vectorised loops, or `f64`, whose functions are the standard library's; the
/// latter is for tests and double-precision models, not for speed.
pub(crate) trait Real:
    Copy
    + Default
    + Debug
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
    + Sum
    + 'static
{
    const ZERO: Self;
    const ONE: Self;

    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    /// `self * factor + term`, rounded once if the machine can.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    fn sqrt(self) -> Self;
    fn ln(self) -> Self;
    fn exp(self) -> Self;
    fn tanh(self) -> Self;
    fn erf(self) -> Self;

    /// The larger one; a NaN in `self` stays.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    /// 1 / (1 + exp(-x)).
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            Self::mul_add(self, factor, term)
        } else {
            self * factor + term
        }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        Self::ln(self)
    }

    /// exp(x) = 2^n exp(r) with n the integer nearest to x / ln 2 and |r| <= ln(2) / 2, where exp(r) is its Taylor
    /// polynomial of degree 7: a relative error of 2e-7. What overflows gives the largest finite number's
    /// neighbourhood, what underflows the smallest normal one's.
    #[inline(always)]
    fn exp(self) -> Self {
        // Adding 1.5 * 2^23 rounds to an integer, which then stands in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let x = if self < -87.3 { -87.3 } else { self };
        let x = if x > 88.3 { 88.3 } else { x };
        let shifted = Real::mul_add(x, std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = Real::mul_add(n, -LN_2_LOW, Real::mul_add(n, -LN_2_HIGH, x));
        let coefficients = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
        let polynomial = coefficients.into_iter().fold(1.0 / 5040.0, |sum, next| Real::mul_add(sum, r, next));
        let power = Self::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
        polynomial * power
    }

    /// A quotient of polynomials in x² times x, with the coefficients of Eigen's `ptanh`
    /// (Eigen/src/Core/MathFunctionsImpl.h, version 3.4), whose relative error is a few roundings.
    #[inline(always)]
    fn tanh(self) -> Self {
        const NUMERATOR: [f32; 6] =
            [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_4e-4, 4.893_524_6e-3];
        const DENOMINATOR: [f32; 3] = [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];
        const LIMIT: f32 = 7.905_311;
        let x = if self < -LIMIT { -LIMIT } else { self };
        let x = if x > LIMIT { LIMIT } else { x };
        let square = x * x;
        let numerator = NUMERATOR.into_iter().fold(-2.760_768_5e-16, |sum, next| Real::mul_add(sum, square, next));
        let denominator = DENOMINATOR.into_iter().fold(1.198_258_4e-6, |sum, next| Real::mul_add(sum, square, next));
        x * numerator / denominator
    }

    /// A quotient of polynomials in x² times x, with the coefficients of Eigen's `erf`
    /// (unsupported/Eigen/src/SpecialFunctions, version 3.4).
    #[inline(always)]
    fn erf(self) -> Self {
        const NUMERATOR: [f32; 6] =
            [2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2];
        const DENOMINATOR: [f32; 4] = [-2.133_740_5e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2];
        let x = if self < -4.0 { -4.0 } else { self };
        let x = if x > 4.0 { 4.0 } else { x };
        let square = x * x;
        let numerator = NUMERATOR.into_iter().fold(-2.726_142_3e-10, |sum, next| Real::mul_add(sum, square, next));
        let denominator = DENOMINATOR.into_iter().fold(-1.456_607_2e-5, |sum, next| Real::mul_add(sum, square, next));
        let quotient = x * numerator / denominator;
        // Beyond the fitted range the function is one to the last bit, which GELU multiplies by large numbers.
        let quotient = if self < -4.0 { -1.0 } else { quotient };
        if self > 4.0 { 1.0 } else { quotient }
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self * factor + term
    }

    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }

    fn ln(self) -> Self {
        Self::ln(self)
    }

    fn exp(self) -> Self {
        Self::exp(self)
    }

    fn tanh(self) -> Self {
        Self::tanh(self)
    }

    fn erf(self) -> Self {
        libm::erf(self)
    }
}
