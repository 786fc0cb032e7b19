"""Losses of sequences: of labels whose times are unknown, of series, of symbols.

`ctc` and `transducer`: labels without their times, on what `alignment` prepares · `warping`:
series that may differ in tempo · `likelihood`: sequences predicted symbol by symbol.
"""

from jaxloss.sequence.ctc import ctc_loss, ctc_loss_with_forward_probs
from jaxloss.sequence.likelihood import sequence_cross_entropy
from jaxloss.sequence.transducer import rnnt_loss
from jaxloss.sequence.warping import soft_dtw_divergence, soft_dtw_loss

__all__ = [
    "ctc_loss",
    "ctc_loss_with_forward_probs",
    "rnnt_loss",
    "sequence_cross_entropy",
    "soft_dtw_divergence",
    "soft_dtw_loss",
]
