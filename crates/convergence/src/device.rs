//! Where an experiment computes, and how exactly.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::LabError;

/// A device with the most exact arithmetic that it has.
#[derive(Debug, Clone)]
pub struct Arithmetic {
    device: Device,
    number_type: DType,
}

impl Arithmetic {
    /// Double precision where the device has it, else single.
    pub fn of(device: Device) -> Self {
        let number_type = if device.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 };
        Self { device, number_type }
    }

    /// Whether numbers have 64 bits.
    pub fn is_double(&self) -> bool {
        self.number_type == DType::F64
    }

    /// Numbers on the device.
    pub fn tensor<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(values, shape).convert_dtype(self.number_type);
        Tensor::from_data(data, (&self.device, self.number_type))
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

/// The numbers of a tensor on the host.
///
/// # Errors
/// When the device failed.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f64>, LabError> {
    let data = tensor.try_into_data().map_err(|error| LabError::Device(error.to_string()))?;
    Ok(data.iter::<f64>().collect())
}
