//! Which body of an operation runs on a GPU: its own, or the composition of Burn's operations.

use std::sync::atomic::{AtomicU8, Ordering};

use burn::tensor::Tensor;

use crate::flex::has_fast_body;
use crate::product::MatrixPrecision;

/// An operation that has a body for GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuKernel {
    /// [`cross_entropy`](crate::cross_entropy), and the one within
    /// [`projected_cross_entropy`](crate::projected_cross_entropy).
    CrossEntropy,
    /// [`layer_norm`](crate::layer_norm) and [`rms_norm`](crate::rms_norm).
    Norm,
    /// [`causal_attention`](crate::causal_attention).
    Attention,
    /// [`embedding`](crate::embedding).
    Embedding,
    /// The products of [`affine`](crate::affine).
    Product,
    /// [`lstm_sequence`](crate::lstm_sequence), [`gru_sequence`](crate::gru_sequence) and
    /// [`rnn_sequence`](crate::rnn_sequence).
    Recurrent,
}

/// Bit by bit, the kernels that were left out.
static LEFT_OUT: AtomicU8 = AtomicU8::new(0);

/// From now on, in this process, these operations are composed of Burn's on GPUs too, so that time and memory can be
/// compared with and without each.
pub fn leave_out_gpu_kernels(kernels: &[GpuKernel]) {
    let bits = kernels.iter().fold(0, |bits, kernel| bits | kernel.bit());
    LEFT_OUT.store(bits, Ordering::Relaxed);
}

/// Whether matrix products round their operands, in this process.
static MIXED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on, in this process, products have this precision.
pub fn set_matrix_precision(precision: MatrixPrecision) {
    MIXED.store(precision == MatrixPrecision::Mixed, Ordering::Relaxed);
}

/// The precision of products.
pub(crate) fn matrix_precision() -> MatrixPrecision {
    if MIXED.load(Ordering::Relaxed) { MatrixPrecision::Mixed } else { MatrixPrecision::Single }
}

impl GpuKernel {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Whether the operation has a fast body, on a CPU or a GPU, where the tensor lies.
    pub(crate) fn or_cpu_body_for<const D: usize>(self, tensor: &Tensor<D>) -> bool {
        has_fast_body(tensor) || self.is_for(tensor)
    }

    /// Whether the operation has a body for the GPU on which the tensor lies.
    #[cfg(feature = "cube")]
    pub(crate) fn is_for<const D: usize>(self, tensor: &Tensor<D>) -> bool {
        LEFT_OUT.load(Ordering::Relaxed) & self.bit() == 0 && crate::cube::is_on_gpu(tensor)
    }

    /// Never: this build has no bodies for GPUs.
    #[cfg(not(feature = "cube"))]
    pub(crate) fn is_for<const D: usize>(self, _tensor: &Tensor<D>) -> bool {
        false
    }
}
