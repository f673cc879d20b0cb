"""What a library's model holds, and the reproducible values it is filled with.

Values are the portable generator's, under the library's own name of each tensor and in its own layout, so that anyone who has the list of
names and shapes has the weights. The lists are kept in golden/names, one tensor a line: name, shape (`32x3x3x3`, `-` for a single number),
kind, and for Keras the name in a `.weights.h5` file.

weight    [out, in, height, width] or [out, in]    normal of variance 2 / fan-in, cut at two deviations, as golden/generator.py says
kernel    [height, width, in, out] or [in, out]    the same with the filters last
variance                                           1 + 0.2 uniform
gamma                                              1 + 0.1 normal
beta, mean, bias                                   0.1 normal
counter                                            int64, 0: how often batch normalisation was updated
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from libraries import ROOT

sys.path.insert(0, str(ROOT / "golden"))
import generator  # noqa: E402


@dataclass(frozen=True)
class Tensor:
    """A tensor of a library's model: its name there, its shape there, and what it is."""

    name: str
    shape: tuple[int, ...]
    kind: str
    other_name: str | None = None

    def values(self, seed: int) -> np.ndarray:
        """float32 (int64 for a counter), in the tensor's own shape."""
        if self.kind == "counter":
            return np.zeros(self.shape, np.int64)
        if self.kind in ("weight", "kernel"):
            fan_in = np.prod(self.shape[1:] if self.kind == "weight" else self.shape[:-1])
            deviation = np.sqrt(2.0 / fan_in) / 0.8796256610342398
            return (generator.normal(seed, self.name, self.shape) * deviation).astype(np.float32)
        if self.kind == "variance":
            return (1.0 + 0.2 * generator.uniform(seed, self.name, self.shape)).astype(np.float32)
        centre = {"gamma": 1.0, "beta": 0.0, "mean": 0.0, "bias": 0.0}[self.kind]
        return (centre + 0.1 * generator.normal(seed, self.name, self.shape)).astype(np.float32)

    def line(self) -> str:
        shape = "x".join(str(length) for length in self.shape) or "-"
        return " ".join([self.name, shape, self.kind, *([self.other_name] if self.other_name else [])])


def text(tensors: Iterable[Tensor]) -> str:
    """The list as it is kept in golden/names."""
    return "".join(f"{tensor.line()}\n" for tensor in tensors)
