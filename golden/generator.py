"""The portable generator of incept's seeded weights, in numpy. Seed and tensor name decide every value, to the bit.

key      the first 8 bytes, little endian, of SHA-256 of "<seed>/<tensor name>" in UTF-8, as an unsigned 64-bit number
bits     element i (from 0, in row-major order) is SplitMix64's output for the state key + (i + 1) * 0x9E3779B97F4A7C15
uniform  the upper 53 bits times 2^-53, in float64: 0 <= u < 1
normal   of variance 1 before being cut at two standard deviations, by inversion: q = (u - 0.5) * 0.9544997361036416, which
         is the probability mass kept, then q * P(q^2) / Q(q^2) with P and Q by Horner's rule from the highest coefficient
         down. This is the inverse of the normal distribution function within 6e-11 over the whole range, and it uses
         only + - * / in float64, each rounded exactly by IEEE 754, without fused multiply-add: libraries' exp and log differ in
         their last bits between machines, these do not.
weights  normal * (sqrt(2 / fan_in) / 0.8796256610342398), rounded to float32, where the constant is the standard deviation that is
         left after the cut, and fan_in is input channels * kernel height * kernel width

Biases and batch normalisation's beta and running mean start at 0, its gamma and running variance at 1. `randomised` gives
batch-normalisation statistics and biases that are not trivial; golden vectors are made with them.
"""

import hashlib

import numpy as np

P = [2.5066282747103767, -37.323924998530664, 217.45996774606039, -619.3000108269847, 869.3851982002864, -515.149320554616, 68.77493102747995]
Q = [1.0, -15.937289285538114, 101.14055621303757, -322.52739187033694, 532.5164722083916, -413.28837885887475, 106.49639733774687]


def uniform(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    key = np.uint64(int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little"))
    z = key + np.arange(1, np.prod(shape, dtype=np.int64) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53


def normal(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    q = (uniform(seed, name, shape) - 0.5) * 0.9544997361036416
    s, p, d = q * q, P[-1], Q[-1]
    for above, below in zip(P[-2::-1], Q[-2::-1]):
        p, d = p * s + above, d * s + below
    return q * p / d


def weights(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Of a convolution [out, in, height, width] or a linear layer [out, in], float32."""
    return (normal(seed, name, shape) * (np.sqrt(2.0 / np.prod(shape[1:])) / 0.8796256610342398)).astype(np.float32)


def randomised(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Of a tensor under its canonical name: weights as above, biases and batch normalisation as the golden vectors use them, float32."""
    kind = name.rsplit("/", 1)[-1]
    if kind == "weight":
        return weights(seed, name, shape)
    if kind == "running_variance":
        return (1.0 + 0.2 * uniform(seed, name, shape)).astype(np.float32)
    centre = {"gamma": 1.0, "beta": 0.0, "running_mean": 0.0, "bias": 0.0}[kind]
    return (centre + 0.1 * normal(seed, name, shape)).astype(np.float32)


def image(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """The input of the golden vectors, uniform in [-1, 1), float32."""
    return (uniform(seed, "image", shape) * 2.0 - 1.0).astype(np.float32)
