"""What an audit by hand had found in optax 0.2.8 and rax 0.4.0, and how it is recognised here.

Nothing of this is told to the checks: a row is counted as found when one of them says of its loss
what the pattern says. Severity A is wrong training without a word or a feature that does not work,
B is NaN, a wrong sign or lost digits on plausible inputs, C is an edge. Rows that are `arguable`
are documented by the library, or a matter of what one wants: facts, to be judged by a policy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A row of the table.

    Attributes:
      id: its number.
      severity: A, B or C.
      library: whose loss it is.
      losses: the beginnings of the losses' names.
      checks: ids of the checks that may find it, or the beginning of what is claimed.
      pattern: a regular expression that is found in what the check says.
      defect: in words.
      arguable: whether a library may want it so.
      missed: why the checks may miss it.
    """

    id: str
    severity: str
    library: str
    losses: tuple[str, ...]
    checks: tuple[str, ...]
    pattern: str
    defect: str
    arguable: bool = False
    missed: str = ""

    def matches(self, library: str, loss: str, check: str, title: str, said: str) -> bool:
        """Tell whether a finding is this one."""
        return (
            library == self.library
            and loss.startswith(self.losses)
            and (check in self.checks or title.startswith(self.checks))
            and re.search(self.pattern, said) is not None
        )


def _optax(number: int, severity: str, losses: str, checks: str, pattern: str, defect: str,
           arguable: bool = False, missed: str = "") -> Known:  # fmt: skip
    names = tuple(losses.split(","))
    return Known(f"O{number}", severity, "optax", names, tuple(checks.split(",")), pattern,
                 defect, arguable, missed)  # fmt: skip


def _rax(number: int, severity: str, losses: str, checks: str, pattern: str, defect: str) -> Known:
    names = tuple(losses.split(","))
    return Known(f"X{number}", severity, "rax", names, tuple(checks.split(",")), pattern, defect)


_NAN = r"\bnan\b"
_LIMIT = r"value nan, limit"
_INTEGER = "softmax_cross_entropy_with_integer_labels"
_MINUS = r"value -\d|: -\d[^ ]* instead of|value -inf"

KNOWN: tuple[Known, ...] = (
    _optax(1, "A", "multiclass_generalized_dice_loss", "a wrong prediction costs", r"only \d",
           "blind when a class is absent"),
    _optax(2, "B", "multiclass_generalized_dice_loss", "V5", r"float16.* nan instead of",
           "NaN in float16"),
    _optax(3, "A", "triplet_margin_loss", "V1,G3", r"\d instead of .*norm_degree=1\.0",
           "no absolute value under an odd norm: gradient 0"),
    _optax(4, "B", "triplet_margin_loss", "S1,V1,G1,V5", r"(?s)nan.*norm_degree=3",
           "NaN under norm_degree=3"),
    _optax(5, "A", "huber_loss", "G3", r"instead of", "gradient quantised to 0 at small errors"),
    _optax(6, "B", "log_cosh", "V1,V5,V4,non-negative", r"instead of|value -",
           "loses all digits and goes negative"),
    _optax(7, "A", _INTEGER, "V4,V5", r"bfloat16: .* becomes",
           "quantised in bfloat16 for large logits, to 0 at last"),
    _optax(8, "B", _INTEGER, "shift-invariant", r"becomes", "not shift-invariant in float32"),
    _optax(9, "A", _INTEGER, "S3", r"value nan, gradient \[? ?-?\d",
           "a label out of range: NaN loss with a finite gradient, or the last class"),
    _optax(10, "A", "cosine_", "S2,V5", r"instead of|is (nan|0)",
           "overflow and underflow without a word"),
    _optax(11, "B", "cosine_", "S1", r"value nan", "NaN at a zero vector", True),
    _optax(12, "B", "cosine_distance,kl_divergence", "non-negative,V1,V4", _MINUS,
           "a distance goes negative"),
    _optax(13, "A", "multiclass_sparsemax_loss", "D1", r"Custom JVP rule",
           "no gradient in half precision"),
    _optax(14, "B", "multiclass_sparsemax_loss", "non-negative,V4", _MINUS, "goes negative"),
    _optax(15, "A", "dice_loss(apply_softmax=False)", "T1", r"TracerBool", "cannot be jitted"),
    _optax(16, "A", "binary_dice_loss(apply_sigmoid=False)", "T1", r"sum to 1",
           "refuses every valid input"),
    _optax(17, "C", "dice_loss", "S1,S2,zero at hard labels",
           r"(?s)smooth=0\.0.*nan|nan.*smooth=0\.0",
           "NaN without smoothing where a class is absent"),
    _optax(18, "B", "ntxent", "S1,V1", r"(?s)nan.*", "NaN without a positive pair"),
    _optax(19, "B", "ntxent", "S1,S2,V5,G2", r"(?s)(nan|inf).*temperature=0\.015",
           "NaN for tight clusters at a low temperature"),
    _optax(20, "B", "ctc_loss", "S3,padding changes", r"labels=|with padding",
           "NaN from padding, a number for labels out of range"),
    _optax(21, "C", "ctc_loss", "its gradient in", r"no gradient at the value 99999",
           "saturates at 1e5, without gradient", True,
           "it begins where logits differ by 1e5, which a search meets at some seeds only"),
    _optax(22, "B", "kl_divergence", "S4", _LIMIT, "NaN for one-hot log targets", True),
    _optax(23, "B", "poly_loss,ranking_softmax,multiclass_hinge,make_fenchel", "S4", _LIMIT,
           "NaN for a logit of minus infinity, the idiom of a mask"),
    _optax(24, "C", "sigmoid_binary,sigmoid_focal", "S4", _LIMIT,
           "NaN at infinite logits, where the limit is 0", True),
    _optax(25, "C", "sigmoid_focal_loss", "K1,G3", r"d/dlabels",
           "label gradient wrong at hard labels"),
    _optax(26, "B", _INTEGER, "M1", r"changes the value",
           "a masked class still counts as the label, as it does not with one-hot labels", True),
    _optax(27, "C", "smooth_labels", "M1", r"all masked|where masked|changes",
           "masked classes get a share; infinite where all are masked"),
    _optax(28, "C", "sparsemax_loss", "V1", r"instead of", "any label but 0 counts as 1"),
    _optax(29, "B", "huber_loss,hinge_loss,sigmoid_binary", "E3", r"values instead of",
           "(n,) with (n, 1) becomes (n, n)"),
    _optax(30, "C", "softmax_cross_entropy", "V1", r"-?0 instead of",
           "a confident prediction costs exactly 0", True),
    _rax(1, "A", "pointwise_sigmoid_loss", "K1", r"gradient (is )?-0\.5 (outside|at)",
         "gradient of the wrong sign at score 0"),
    _rax(2, "A", "pairwise_,pointwise_", "M1", r"d/dscores", "a masked NaN poisons the gradient"),
    _rax(3, "A", "approx_t12n,bound_t12n", "T0", r"jax.util|has no attribute",
         "raises on jax 0.8 and later"),
    _rax(4, "C", "pointwise_sigmoid_loss", "V1,V5", r"instead of",
         "log(1 + e) loses what log1p keeps"),
    _rax(5, "B", "pairwise_,unique_softmax", "S4", r"gradient \[.*nan",
         "NaN gradient for a score of minus infinity, the idiom of padding"),
    _rax(6, "A", "listmle_loss", "K1,convex", r"outside|false kink|below its tangent",
         "wrong gradient where scores tie, as they do at first"),
)  # fmt: skip


def recognised(library: str, loss: str, check: str, title: str, said: str) -> list[Known]:
    """Return the rows that a finding is."""
    return [k for k in KNOWN if k.matches(library, loss, check, title, said)]
