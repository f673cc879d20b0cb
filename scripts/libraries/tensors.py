"""What a library's file holds, and the reproducible values it is filled with.

golden/names lists names and shapes of each file, as the library itself wrote it. Values are the portable generator's, under the library's own
name of each tensor and in its own layout, so that anyone who has the list has the weights:

weight, of two dimensions or more    [out, in, height, width] or [out, in]: normal of variance 2 / fan-in, cut at two deviations, as
                                     golden/generator.py says
kernel, weights                      [height, width, in, out] or [in, out]: the same with the filters last
running_var, moving_variance         1 + 0.2 uniform
weight, of one dimension             batch normalisation's factor: 1 + 0.1 normal
bias, biases, beta, running_mean, moving_mean    0.1 normal
int64                                0: how often batch normalisation was updated, or how long was trained
"""

import functools
import re
import sys
from dataclasses import dataclass

import numpy as np

from libraries import ROOT

sys.path.insert(0, str(ROOT / "golden"))
import generator  # noqa: E402

NORMAL = ("bias", "biases", "beta", "running_mean", "moving_mean")
VARIANCES = ("running_var", "moving_variance")


@dataclass(frozen=True)
class Tensor:
    """A tensor of a library's file: its name and shape there, and its type where it is not a weight."""

    name: str
    shape: tuple[int, ...]
    counter: bool

    def values(self, seed: int) -> np.ndarray:
        """float32 (int64 for a counter), in the tensor's own shape."""
        part = re.split(r"[./]", self.name)[-1]
        if self.counter:
            return np.zeros(self.shape, np.int64)
        if part in NORMAL:
            return (0.1 * generator.normal(seed, self.name, self.shape)).astype(np.float32)
        if part in VARIANCES:
            return (1.0 + 0.2 * generator.uniform(seed, self.name, self.shape)).astype(np.float32)
        if part == "weight" and len(self.shape) == 1:
            return (1.0 + 0.1 * generator.normal(seed, self.name, self.shape)).astype(np.float32)
        fan_in = np.prod({"weight": self.shape[1:], "kernel": self.shape[:-1], "weights": self.shape[:-1]}[part])
        deviation = np.sqrt(2.0 / fan_in) / 0.8796256610342398
        return (generator.normal(seed, self.name, self.shape) * deviation).astype(np.float32)


def listed(name: str) -> list[Tensor]:
    """The tensors of golden/names/NAME.txt in their order."""
    lines = (ROOT / f"golden/names/{name}.txt").read_text().splitlines()
    tensors = []
    for line in lines:
        if line.startswith("#"):
            continue
        name, shape, *kind = line.split()
        tensors.append(Tensor(name, () if shape == "-" else tuple(int(length) for length in shape.split("x")), kind == ["int64"]))
    return tensors


@functools.lru_cache(maxsize=1)
def values(name: str, seed: int) -> dict[str, np.ndarray]:
    """What the tensors of a list are filled with, by the list's names."""
    return {tensor.name: tensor.values(seed) for tensor in listed(name)}


def fill(model, name: str, seed: int) -> dict[str, np.ndarray]:
    """Fills a library's model with the values of a list, after asking it whether these are its tensors. Returns them, under the list's names."""
    filled = values(name, seed)
    expected = {model.own_name(key): value.shape for key, value in filled.items()}
    found = model.shapes()
    for one, other, what in ((expected, found, "not in the model"), (found, expected, "not in the list")):
        unmatched = [key for key in one if other.get(key) != one[key]]
        # A model without the auxiliary head leaves the head's tensors.
        unmatched = [key for key in unmatched if one is found or "AuxLogits" not in key]
        assert not unmatched, f"{name}: {what}: {unmatched[:5]}"
    model.fill({model.own_name(key): value for key, value in filled.items() if model.own_name(key) in found})
    return filled
