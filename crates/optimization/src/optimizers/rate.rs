//! Learning rates: one for all numbers of a parameter, or one for each.

use burn::tensor::Tensor;

/// A learning rate, or something made of rates.
///
/// Training a model has one rate for everything. Where several experiments lie side by side in one vector, each with a
/// rate of its own, there is one for each element. Arithmetic with [`Rate::Same`] is done on the host in double
/// precision, so that one rate costs a rule nothing but a multiplication by a number.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one or a few live at a time, for one update")]
pub enum Rate {
    /// The same for every element.
    Same(f64),
    /// One for each element of the flattened parameter, in the parameter's type of numbers and on its device.
    Each(Tensor<1>),
}

impl Rate {
    /// Rate times `tensor`, element by element.
    pub fn times(&self, tensor: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Same(rate) => tensor.mul_scalar(*rate),
            Self::Each(rates) => tensor.mul(rates.clone()),
        }
    }

    /// Decoupled weight decay, (1 - rate lambda) value.
    pub fn decayed(&self, value: Tensor<1>, lambda: f64) -> Tensor<1> {
        match self {
            Self::Same(rate) => value.mul_scalar(1.0 - rate * lambda),
            Self::Each(rates) => value.mul(rates.clone().mul_scalar(-lambda).add_scalar(1.0)),
        }
    }

    /// Rate times `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        match self {
            Self::Same(rate) => Self::Same(rate * factor),
            Self::Each(rates) => Self::Each(rates.clone().mul_scalar(factor)),
        }
    }

    /// Rate over `divisor`.
    #[must_use]
    pub fn over(&self, divisor: f64) -> Self {
        match self {
            Self::Same(rate) => Self::Same(rate / divisor),
            Self::Each(rates) => Self::Each(rates.clone().div_scalar(divisor)),
        }
    }

    /// Rate plus `number`.
    #[must_use]
    pub fn shifted(&self, number: f64) -> Self {
        match self {
            Self::Same(rate) => Self::Same(rate + number),
            Self::Each(rates) => Self::Each(rates.clone().add_scalar(number)),
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, |left, right| left + right, Tensor::add)
    }

    /// The product of both.
    #[must_use]
    pub fn product(&self, other: &Self) -> Self {
        self.with(other, |left, right| left * right, Tensor::mul)
    }

    /// The larger of both.
    #[must_use]
    pub fn larger(&self, other: &Self) -> Self {
        self.with(other, f64::max, Tensor::max_pair)
    }

    /// This as a share of `whole`, 0 where the whole is 0.
    #[must_use]
    pub fn share_of(&self, whole: &Self) -> Self {
        self.with(
            whole,
            |part, whole| if whole == 0.0 { 0.0 } else { part / whole },
            |part, whole| {
                let nothing = whole.clone().equal_elem(0.0);
                part.div(whole).mask_fill(nothing, 0.0)
            },
        )
    }

    /// One operation on two rates; one number beside a vector stands for a vector of it.
    fn with(
        &self,
        other: &Self,
        numbers: impl Fn(f64, f64) -> f64,
        vectors: impl Fn(Tensor<1>, Tensor<1>) -> Tensor<1>,
    ) -> Self {
        match (self, other) {
            (Self::Same(left), Self::Same(right)) => Self::Same(numbers(*left, *right)),
            (Self::Each(left), Self::Each(right)) => Self::Each(vectors(left.clone(), right.clone())),
            (Self::Same(left), Self::Each(right)) => Self::Each(vectors(right.full_like(*left), right.clone())),
            (Self::Each(left), Self::Same(right)) => Self::Each(vectors(left.clone(), left.full_like(*right))),
        }
    }
}

impl From<f64> for Rate {
    fn from(rate: f64) -> Self {
        Self::Same(rate)
    }
}
