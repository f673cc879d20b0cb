"""Golden vectors of the published networks, computed by the libraries that published them.

    scripts/reference-environment.sh
    .runtime/reference/bin/python scripts/golden/published.py [--check] [LIBRARY.NETWORK...]

Each library's own model (Inception-v4 and Inception-ResNet-v2 of TF-slim: a graph of its layers, scripts/libraries/tf_slim_graphs.py) is filled
with the portable generator's weights, seed 0, under the library's own names, and computed in float64. golden/names/LIST.txt lists names and
shapes as the library writes them, and scripts/libraries/tensors.py says what they are filled with: whoever has the list has the weights.
golden/published/LIST.safetensors holds, for each of logits, embedding and auxiliary_logits that the library computes, and for each stage of
the small image,

    SIZE/NAME                [N, ...]       all numbers, where they are no more than 1001 an image, or else
    SIZE/NAME/positions      [64 or 16]     where the samples are in the flattened value ([N, C, height, width] for a stage)
    SIZE/NAME/samples        [64 or 16]     the values there

where `small` is an image 107 high and 139 wide, batch 2, and `large` is 299 x 299, batch 1, both of seed 0. The auxiliary head exists at the
large size only. Several libraries have the same list: then the first writes the vectors, and with --check each has to agree with them.

With --check nothing is written: everything is computed again and compared.
"""

import argparse
import hashlib
import json
import pathlib
import platform
import sys
from importlib.metadata import version

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from libraries import NETWORKS, ROOT, Network, tensors  # noqa: E402

SEED = 0
SHAPES = {"small": (2, 3, 107, 139), "large": (1, 3, 299, 299)}
SAMPLES = 16
SAMPLES_OF_OUTPUT = 64
WHOLE = 1001


def sampled(name: str, value: np.ndarray, samples: int) -> dict[str, np.ndarray]:
    """Odd multiples of a `2 samples + 1`th: spread over batch, channels and places, and not in step with the shape."""
    flat = value.ravel()
    positions = (2 * np.arange(samples) + 1) * flat.size // (2 * samples + 1)
    return {f"{name}/positions": positions.astype(np.int64), f"{name}/samples": flat[positions]}


def compute(network: Network) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The vectors, and where they come from."""
    vectors: dict[str, np.ndarray] = {}
    for size, shape in SHAPES.items():
        # The auxiliary head's second convolution is 5x5 on the grid of 299 alone.
        model = network.build(shape[2:], double=True, auxiliary=size == "large")
        filled = tensors.fill(model, network.list, SEED)
        outputs, stages = model.run(tensors.generator.image(SEED, shape))
        for name, value in outputs.items():
            assert value.dtype == np.float64 and np.isfinite(value).all(), f"{network.name}: {name} is {value.dtype}"
            whole = value.shape[1] <= WHOLE
            vectors |= {f"{size}/{name}": np.ascontiguousarray(value)} if whole else sampled(f"{size}/{name}", value, SAMPLES_OF_OUTPUT)
            print(f"  {size:6} {name:24} {str(list(value.shape)):20} mean {value.mean():+.6f}  std {value.std():.6f}", flush=True)
        if size == "small" and network.module == "tf_slim_session" and network.network != "inception_v3":
            agree_with_timm(network, model.in_order(filled), outputs["logits"])
        for stage, value in stages.items() if size == "small" else ():
            vectors |= sampled(f"{size}/{stage}", value, SAMPLES)
    digest = hashlib.sha256()
    for value in filled.values():
        digest.update(value.tobytes())
    provenance = {
        "schema": "incept.golden/1",
        "library": network.library,
        "network": network.network,
        "variant": network.variant,
        "classes": network.classes,
        "images": {size: {"seed": SEED, "shape": shape} for size, shape in SHAPES.items()},
        "weights": {"seed": SEED, "names": f"golden/names/{network.list}.txt", "sha256": digest.hexdigest()},
        "made_by": "scripts/golden/published.py",
        "libraries": {name: version(name) for name in (*network.packages, "numpy")},
        "python": platform.python_version(),
    }
    return vectors, {"incept": json.dumps(provenance)}


def agree_with_timm(network: Network, filled: dict[str, np.ndarray], logits: np.ndarray) -> None:
    """The graphs that are put together here, beside a network that somebody else put together."""
    from libraries import agreement

    found = agreement.difference(network, filled, logits, tensors.generator.image(SEED, SHAPES["small"]))
    assert found < 1e-11, f"{network.name}: differs from timm's network with the same weights by {found:.1e} of the range"
    print(f"  agrees with timm's network with the same weights within {found:.1e} of the range", flush=True)


def check(network: Network, vectors: dict[str, np.ndarray]) -> None:
    """Compares with what is stored. Sums in another order differ in the last bits of float64, never by more than this."""
    with safe_open(ROOT / f"golden/published/{network.list}.safetensors", "numpy") as stored:
        assert sorted(stored.keys()) == sorted(vectors), f"{network.name}: other vectors than stored"
        worst = 0.0
        for name, values in vectors.items():
            expected = stored.get_tensor(name)
            worst = max(worst, float(np.abs(values - expected).max()) / max(float(np.abs(expected).max()), 1e-30))
    assert worst < 1e-11, f"{network.name}: differs from what is stored by {worst:.1e} of the largest value"
    print(f"  agrees with golden/published/{network.list}.safetensors within {worst:.1e} of the largest value of each tensor", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Golden vectors of the published networks from the libraries that published them.")
    parser.add_argument("networks", nargs="*", metavar="LIBRARY.NETWORK", help=f"of {', '.join(NETWORKS)}; all if none is given")
    parser.add_argument("--check", action="store_true", help="compare with the stored vectors and write nothing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown network {unknown[0]}")
    written: set[str] = set()
    for name in arguments.networks or NETWORKS:
        print(name)
        network = NETWORKS[name]
        vectors, metadata = compute(network)
        if arguments.check or network.list in written:
            check(network, vectors)
            continue
        path = ROOT / f"golden/published/{network.list}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_file(vectors, path, metadata=metadata)
        written.add(network.list)
        print(f"  wrote {path.relative_to(ROOT)}, {path.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
