"""The same mathematics without the big intermediate: losses of outputs that are never all held.

The last layer of a language model has more outputs, tokens times words, than the rest of the step
has numbers. Here layer and loss are one function, and the outputs exist for a chunk of rows only.

Each loss has two forms. `average_...` gives the mean as a pair, forms the gradient in the forward
pass, and spends nothing on masked rows; the other gives a value for each row and computes the
logits again for the gradient.
"""

from jaxloss.fused.distillation import average_linear_distillation_loss
from jaxloss.fused.linear import (
    average_linear_softmax_cross_entropy,
    linear_log_probs,
    linear_softmax_cross_entropy,
)

__all__ = [
    "average_linear_distillation_loss",
    "average_linear_softmax_cross_entropy",
    "linear_log_probs",
    "linear_softmax_cross_entropy",
]
