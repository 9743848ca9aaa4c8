"""What an update rule is called, and its constants: how a gradient becomes a step of a weight.

g is the mean gradient over the images of an update, scaled (quantization-aware scaling) where that is on; e
the learning rate, times `convolution_rate` for convolutions. Definitions to the bit: docs/numerics.md.

    sgd       step = e · g
    momentum  m ← momentum · m + g;  step = e · m
    adam      Kingma and Ba, 2015, algorithm 1
    lars      You et al., 2017: step = e · m, m ← momentum · m + trust · ‖w‖ / ‖g‖ · g; norms over a tensor
"""

from dataclasses import dataclass

RULES = ("sgd", "momentum", "adam", "lars")

DEFAULT_RULE = "sgd"

DEFAULT_MOMENTUM = 0.9
"""Of momentum and lars; the value of the paper (table 4)."""


@dataclass(frozen=True)
class UpdateRule:
    """A rule with its constants. convolution_rate: of rules other than sgd, where no scale can hold it."""

    name: str = DEFAULT_RULE
    momentum: float = DEFAULT_MOMENTUM
    convolution_rate: float = 1.0


PRECISIONS = ("int8", "fp32")
"""int8: the quantized network as it was made. fp32: a float32 graph of the same backbone (host)."""

DEFAULT_PRECISION = "int8"
