//! Numbers on their way from a device to the host.

use std::fmt;
use std::pin::Pin;

use burn::tensor::{ExecutionError, Tensor, Transaction};
use futures_lite::future::{FutureExt, block_on, poll_once};

/// A tensor that is being copied to the host while the device is given other work.
///
/// Its numbers are those that the tensor has when the reading begins, whatever is written into its buffer later.
pub struct Reading(State);

enum State {
    Here(Result<Vec<f64>, ExecutionError>),
    OnItsWay(Pin<Box<dyn Future<Output = Result<Vec<f64>, ExecutionError>> + Send>>),
}

impl Reading {
    /// Asks the device for a tensor, and does not wait for it.
    pub fn begin(tensor: Tensor<1>) -> Self {
        let transaction = Transaction::default().register(tensor);
        let reading = async move {
            let data = transaction.execute_async().await?;
            Ok(data.iter().flat_map(|data| data.iter::<f64>().collect::<Vec<_>>()).collect())
        };
        let mut reading = reading.boxed();
        // The first poll hands the request to the device.
        match block_on(poll_once(&mut reading)) {
            Some(read) => Self(State::Here(read)),
            None => Self(State::OnItsWay(reading)),
        }
    }

    /// Waits for the numbers, the first time.
    ///
    /// # Errors
    /// What the device reports, of this or of anything since it was last waited for.
    pub fn wait(&mut self) -> Result<&[f64], ExecutionError> {
        if let State::OnItsWay(reading) = &mut self.0 {
            self.0 = State::Here(block_on(reading));
        }
        match &self.0 {
            State::Here(Ok(numbers)) => Ok(numbers),
            State::Here(Err(error)) => Err(error.clone()),
            State::OnItsWay(_) => Ok(&[]),
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.0 {
            State::Here(_) => "here",
            State::OnItsWay(_) => "on its way",
        };
        write!(formatter, "Reading({state})")
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_reading_has_the_numbers_of_its_tensor() {
        let tensor = Tensor::from_data([1.5_f32, -2.0], &Device::flex());
        assert_eq!(Reading::begin(tensor).wait().unwrap(), [1.5, -2.0]);
    }
}
