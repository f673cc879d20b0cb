"""Golden bundles of the published networks, computed by the libraries that published them.

    scripts/reference-environment.sh
    cargo build --release
    .runtime/reference/bin/python scripts/golden/bundles.py [--check] [LIBRARY.NETWORK...]

golden/bundles/LIST holds, for each library's model with the portable generator's weights (seed 0, scripts/libraries/tensors.py) and a small image
of the same generator, what a bundle of `incept golden write` holds, but no model and no arrays in other formats:

    test_data_set_0/input_0.pb     [1, 3, 75, 91] float32
    test_data_set_0/output_K.pb    the logits, and the embedding where the library has one, computed in float64 and rounded to float32
    layers.json                    checksums of the float64 values of every stage and head (docs/golden.md says how they are made)

The model is what `incept export` makes of the library's weights; they are hundreds of megabytes, so whoever has golden/names/LIST.txt generates
them. tests/golden_bundles.rs does, and verifies each bundle. No code of incept computes anything here: `incept info` says which of its layers ends
which stage, so that the values have its names. The tensors are written by the `onnx` package.

golden/published holds samples of the same models at other sizes. Several libraries have the same list: then the first writes the bundle, and with
--check each has to agree with it.

With --check nothing is written: everything is computed again and compared.
"""

import argparse
import json
import pathlib
import platform
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import onnx
from onnx import numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from libraries import NETWORKS, ROOT, Network, tensors  # noqa: E402

SEED = 0
SHAPE = (1, 3, 75, 91)
TOLERANCE = 1e-5
PROJECTIONS, DEVIATIONS, STREAM = 8, 8.0, "golden/projections"
HEADS = ("logits", "embedding")


def checksum(name: str, value: np.ndarray) -> dict:
    """As src/golden/checksum.rs defines it."""
    assert value.dtype == np.float64 and np.isfinite(value).all(), f"{name}: {value.dtype}"
    flat = np.ascontiguousarray(value).ravel()
    bits = np.floor(tensors.generator.uniform(0, STREAM, flat.shape) * 256).astype(np.uint8)
    signs = [1.0 - 2.0 * (bits >> (PROJECTIONS - 1 - place) & 1) for place in range(PROJECTIONS)]
    return {
        "name": name,
        "shape": list(value.shape),
        "mean": float(flat.mean()),
        "root_mean_square": float(np.sqrt((flat * flat).mean())),
        "minimum": float(flat.min()),
        "maximum": float(flat.max()),
        "projections": [float((sign * flat).sum() / np.sqrt(flat.size)) for sign in signs],
    }


def stages_of(program: pathlib.Path, network: Network) -> dict[str, str]:
    """The layer that ends each stage of incept's description."""
    size = "x".join(str(length) for length in SHAPE[2:])
    command = [program, "info", network.network, "--variant", network.variant, "--image-size", size, "--json"]
    described = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {stage["name"]: stage["output_node"] for stage in described["stages"]}


def compute(program: pathlib.Path, network: Network) -> tuple[dict, dict[str, bytes]]:
    """What layers.json holds, and the tensors' files."""
    image = tensors.generator.image(SEED, SHAPE)
    model = network.build(SHAPE[2:], double=True)
    tensors.fill(model, network.list, SEED)
    outputs, stages = model.run(image)
    heads = {head: outputs[head] for head in HEADS if head in outputs}
    nodes = stages_of(program, network)
    values = [checksum(nodes[stage], stages[stage]) for stage in nodes if stage in stages]
    values += [checksum(head, value) for head, value in heads.items()]
    packages = {name: version(name) for name in (*network.packages, "numpy", "onnx")}
    record = {
        "schema": "incept.golden-bundle/1",
        "provenance": {
            "version": packages[network.packages[0]],
            "command": ["scripts/golden/bundles.py", network.name],
            "inputs": {f"golden/names/{network.list}.txt": f"weights of the portable generator, seed {SEED}"},
            "runtimes": [*(f"{name} {number}" for name, number in packages.items()), f"Python {platform.python_version()}"],
        },
        "model_sha256": None,
        "reference": f"{network.library}'s {network.network}, float64, CPU",
        "seed": SEED,
        "tolerance": TOLERANCE,
        "projections": {"stream": STREAM, "count": PROJECTIONS, "deviations": DEVIATIONS},
        "outputs": [{"name": head, "type": "float32", "atol": TOLERANCE * float(np.abs(value).max()), "rtol": 0.0} for head, value in heads.items()],
        "data_sets": [{"folder": "test_data_set_0", "values": values}],
    }
    files = {"input_0.pb": numpy_helper.from_array(image, "image").SerializeToString(deterministic=True)}
    for place, (head, value) in enumerate(heads.items()):
        files[f"output_{place}.pb"] = numpy_helper.from_array(value.astype(np.float32), head).SerializeToString(deterministic=True)
    for value in values:
        print(f"  {value['name']:44} {str(value['shape']):20} rms {value['root_mean_square']:.6f}", flush=True)
    return record, files


def check(folder: pathlib.Path, record: dict, files: dict[str, bytes]) -> None:
    """Compares with what is stored. Sums in another order differ in the last bits of float64, never by more than this."""
    stored = json.loads((folder / "layers.json").read_text())
    of = {value["name"]: value for value in stored["data_sets"][0]["values"]}
    found = record["data_sets"][0]["values"]
    assert sorted(of) == sorted(value["name"] for value in found), f"{folder}: other values than stored"
    worst = 0.0
    for value in found:
        expected = of[value["name"]]
        assert expected["shape"] == value["shape"], f"{value['name']}: {value['shape']}"
        magnitude = max(abs(expected["minimum"]), abs(expected["maximum"]))
        for part in ("mean", "root_mean_square", "minimum", "maximum", "projections"):
            worst = max(worst, float(np.abs(np.subtract(value[part], expected[part])).max()) / magnitude)
    assert worst < 1e-10, f"{folder}: checksums differ by {worst:.1e} of the largest magnitude"
    data = folder / "test_data_set_0"
    assert (data / "input_0.pb").read_bytes() == files["input_0.pb"], f"{folder}: another input"
    assert sorted(path.name for path in data.iterdir()) == sorted(files), f"{folder}: other files"
    for place, output in enumerate(stored["outputs"]):
        read = (files[f"output_{place}.pb"], (data / f"output_{place}.pb").read_bytes())
        value, expected = (numpy_helper.to_array(onnx.load_tensor_from_string(content)) for content in read)
        assert np.abs(value - expected).max() <= 1e-6 * np.abs(expected).max(), f"{folder}: another {output['name']}"
    print(f"  agrees with {folder.relative_to(ROOT)} within {worst:.1e} of the largest magnitude of each value", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Golden bundles of the published networks from the libraries that published them.")
    parser.add_argument("networks", nargs="*", metavar="LIBRARY.NETWORK", help=f"of {', '.join(NETWORKS)}; all if none is given")
    parser.add_argument("--check", action="store_true", help="compare with the stored bundles and write nothing")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/incept", help="the incept that names the layers")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown network {unknown[0]}")
    if not arguments.program.exists():
        parser.error(f"not found: {arguments.program}; run cargo build --release")
    written: set[str] = set()
    for name in arguments.networks or NETWORKS:
        print(name, flush=True)
        network = NETWORKS[name]
        folder = ROOT / "golden/bundles" / network.list
        record, files = compute(arguments.program, network)
        if arguments.check or network.list in written:
            check(folder, record, files)
            continue
        (folder / "test_data_set_0").mkdir(parents=True, exist_ok=True)
        for file, data in files.items():
            (folder / "test_data_set_0" / file).write_bytes(data)
        (folder / "layers.json").write_text(json.dumps(record, indent=2) + "\n")
        written.add(network.list)
        print(f"  wrote {folder.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    main()
