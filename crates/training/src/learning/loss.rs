//! Logits and targets to the loss.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, assert_shape};

/// The cross-entropy of every token in nats: -ln softmax(logits)[target].
///
/// # Shapes
/// - logits: `[batch, time, vocabulary]`
/// - targets: `[batch, time]`, each below the vocabulary
/// - result: `[batch * time]`
pub fn token_losses(logits: Tensor<3>, targets: Tensor<2, Int>) -> Tensor<1> {
    let [batch, time, vocabulary] = logits.dims();
    assert_shape!(targets, [batch, time]);
    let logits = logits.reshape([batch * time, vocabulary]);
    let targets = targets.reshape([batch * time, 1]);
    log_softmax(logits, 1).gather(1, targets).reshape([batch * time]).neg()
}
