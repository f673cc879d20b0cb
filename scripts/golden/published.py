"""Golden vectors of the published networks, computed by the libraries that published them.

    scripts/reference-environment.sh
    .runtime/reference/bin/python scripts/golden/published.py [--check] [LIBRARY.NETWORK...]

Each library's own model (Inception-v4 and Inception-ResNet-v2 of TF-slim: a graph of its layers, scripts/libraries/tf_slim_graphs.py) is filled
with the portable generator's weights, seed 0, under the library's own names, and computed in float64. golden/names/LIBRARY.NETWORK.txt lists
names, shapes and kinds, and scripts/libraries/tensors.py says what they are filled with: with that list anyone has the weights.
golden/published/LIBRARY.NETWORK.safetensors holds

    small/logits             [2, classes]   of the image 107 high and 139 wide, batch 2, seed 0
    small/embedding          [2, 512]       where the network has one
    small/STAGE/positions    [16]           where the samples are in the flattened output [N, C, height, width] of the stage
    small/STAGE/samples      [16]           the values there
    large/logits, embedding  [1, ...]       of the image 299 x 299, batch 1, seed 0
    large/auxiliary_logits   [1, classes]   where the library has the head

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


def compute(network: Network) -> tuple[str, dict[str, np.ndarray], dict[str, str]]:
    """The list of names, the vectors, and where they come from."""
    vectors: dict[str, np.ndarray] = {}
    for size, shape in SHAPES.items():
        # The auxiliary head's second convolution is 5x5 on the grid of 299 alone.
        model = network.build(shape[2:], double=True, auxiliary=size == "large")
        listed = model.tensors()
        filled = {tensor.name: tensor.values(SEED) for tensor in listed}
        model.fill(filled)
        outputs, stages = model.run(tensors.generator.image(SEED, shape))
        for name, value in outputs.items():
            assert value.dtype == np.float64 and np.isfinite(value).all(), f"{network.name}: {name} is {value.dtype}"
            vectors[f"{size}/{name}"] = np.ascontiguousarray(value)
            print(f"  {size:6} {name:24} {str(list(value.shape)):20} mean {value.mean():+.6f}  std {value.std():.6f}")
        for stage, value in stages.items() if size == "small" else ():
            flat = value.ravel()
            # Odd multiples of a 33rd: spread over batch, channels and places, and not in step with the shape.
            positions = (2 * np.arange(SAMPLES) + 1) * flat.size // (2 * SAMPLES + 1)
            vectors[f"{size}/{stage}/positions"] = positions.astype(np.int64)
            vectors[f"{size}/{stage}/samples"] = flat[positions]
    digest = hashlib.sha256()
    for tensor in listed:
        digest.update(filled[tensor.name].tobytes())
    provenance = {
        "schema": "incept.golden/1",
        "library": network.library,
        "network": network.network,
        "variant": network.variant,
        "classes": network.classes,
        "images": {size: {"seed": SEED, "shape": shape} for size, shape in SHAPES.items()},
        "weights": {"seed": SEED, "names": f"golden/names/{network.name}.txt", "sha256": digest.hexdigest()},
        "made_by": "scripts/golden/published.py",
        "libraries": {name: version(name) for name in (*network.packages, "numpy")},
        "python": platform.python_version(),
    }
    return tensors.text(listed), vectors, {"incept": json.dumps(provenance)}


def check(network: Network, names: str, vectors: dict[str, np.ndarray]) -> None:
    """Compares with what is stored. Sums in another order differ in the last bits of float64, never by more than this."""
    assert names == (ROOT / f"golden/names/{network.name}.txt").read_text(), f"{network.name}: other tensors than listed"
    with safe_open(ROOT / f"golden/published/{network.name}.safetensors", "numpy") as stored:
        assert sorted(stored.keys()) == sorted(vectors), f"{network.name}: other vectors than stored"
        worst = 0.0
        for name, values in vectors.items():
            expected = stored.get_tensor(name)
            worst = max(worst, float(np.abs(values - expected).max()) / max(float(np.abs(expected).max()), 1e-30))
    assert worst < 1e-11, f"{network.name}: differs from what is stored by {worst:.1e} of the largest value"
    print(f"  agrees with what is stored within {worst:.1e} of the largest value of each tensor")


def main() -> None:
    parser = argparse.ArgumentParser(description="Golden vectors of the published networks from the libraries that published them.")
    parser.add_argument("networks", nargs="*", metavar="LIBRARY.NETWORK", help=f"of {', '.join(NETWORKS)}; all if none is given")
    parser.add_argument("--check", action="store_true", help="compare with the stored vectors and write nothing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown network {unknown[0]}")
    for name in arguments.networks or NETWORKS:
        print(name)
        network = NETWORKS[name]
        names, vectors, metadata = compute(network)
        if arguments.check:
            check(network, names, vectors)
            continue
        listed, path = ROOT / f"golden/names/{name}.txt", ROOT / f"golden/published/{name}.safetensors"
        for file in (listed, path):
            file.parent.mkdir(exist_ok=True)
        listed.write_text(names)
        save_file(vectors, path, metadata=metadata)
        print(f"  wrote {path.relative_to(ROOT)}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
