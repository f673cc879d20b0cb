"""The proof: what each library saves, exported by incept and run in ONNX Runtime, beside the library's own output.

    scripts/reference-environment.sh
    cargo build --release
    .runtime/reference/bin/python scripts/proof/published.py [--quick] [LIBRARY.NETWORK...]

For each library and network its own model is filled with random weights and batch-norm statistics that are not trivial (the portable
generator's, seed 1), saved in each way the library has, and run in float32, as its users run it, on an image of 299 x 299 and on a batch of two
that are not square. `incept export` is given the file and nothing that says whose it is, and ONNX Runtime runs the result on the same images.

    error = max |ours - theirs| / (max theirs - min theirs), shapes equal, every value finite; at most 1e-5

A planted fault, one weight of the saved file changed, must exceed that. Exits 0 if all hold, 1 if any does not, 2 if something could not run.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnxruntime

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from libraries import NETWORKS, ROOT, Network, tensors  # noqa: E402

SEED = 1
SHAPES = {"299x299": (1, 3, 299, 299), "107x139": (2, 3, 107, 139)}
# The bound. float32 itself explains about a tenth of it: a library's two ways to sum a convolution differ by as much.
TOLERANCE = 1e-5


class CouldNotRun(Exception):
    """The export or the run failed; the text says how."""


@dataclass
class Row:
    """One comparison."""

    network: str
    form: str
    size: str
    output: str
    error: float

    @property
    def holds(self) -> bool:
        return self.error <= TOLERANCE


def error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Of the range of theirs; infinite if the shapes differ or a value is not finite."""
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    spread = float(theirs.max()) - float(theirs.min())
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max()) / spread if spread else float("inf")


def export(program: pathlib.Path, network: Network, weights: pathlib.Path, size: str, options: list[str]) -> bytes:
    """The ONNX file that incept makes of a library's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.onnx"
        command = [program, "export", network.network, "--weights", weights, "--output-file", path, "--image-size", size, *options]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise CouldNotRun(f"{' '.join(str(part) for part in command)}\n{result.stderr.strip()}")
        return path.read_bytes()


def run(model: bytes, image: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: image})))


def build(network: Network, form: str, size: str):
    """The library's model with the weights that a file of this form holds: half precision rounds them."""
    model = network.build(SHAPES[size][2:], auxiliary=size == "299x299")
    tensors.fill(model, network.list, SEED)
    model.prepare(form)
    return model


def variations(network: Network, theirs: dict[str, np.ndarray]) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """An output, the options of the export that ask for it, and what it has to be."""
    yield "logits", [], theirs["logits"]
    if network.classes == 1001:
        yield "logits", ["--drop-background"], theirs["logits"][:, 1:]
    if "embedding" in theirs:
        yield "embedding", ["--output", "embedding"], theirs["embedding"]
    if "auxiliary_logits" in theirs:
        yield "auxiliary_logits", ["--auxiliary-head", "--output", "auxiliary_logits"], theirs["auxiliary_logits"]


def prove(program: pathlib.Path, network: Network, quick: bool) -> Iterator[Row]:
    sizes = list(SHAPES)[1:] if quick else list(SHAPES)
    forms = build(network, "", "107x139").forms
    for number, form in enumerate(forms[:1] if quick else forms):
        with tempfile.TemporaryDirectory() as folder:
            weights = build(network, form, "299x299").save(form, pathlib.Path(folder))
            for size in sizes:
                image = tensors.generator.image(SEED, SHAPES[size])
                theirs, _ = build(network, form, size).run(image)
                for output, options, value in variations(network, theirs):
                    # What a head says does not depend on the form of the file: the others are asked for once.
                    if options and number:
                        continue
                    ours = run(export(program, network, weights, size, options), image)
                    label = " ".join([output, *(option for option in options if option == "--drop-background")])
                    yield Row(network.name, form, size, label, error(ours[output], value))


def planted(program: pathlib.Path, network: Network) -> Row:
    """A file in which one weight, in the middle of the network, is another."""
    size = "107x139"
    image = tensors.generator.image(SEED, SHAPES[size])
    theirs, _ = build(network, "", size).run(image)
    model = network.build(SHAPES["299x299"][2:], auxiliary=True)
    values = dict(tensors.values(network.list, SEED))
    convolutions = [name for name, value in values.items() if value.ndim == 4 and "Aux" not in name]
    name = convolutions[len(convolutions) // 2]
    values[name] = values[name].copy()
    values[name][0, 0, 0, 0] += 1.0
    model.fill({model.own_name(name): value for name, value in values.items()})
    form = model.forms[0]
    with tempfile.TemporaryDirectory() as folder:
        weights = model.save(form, pathlib.Path(folder))
        ours = run(export(program, network, weights, size, []), image)
    return Row(network.name, form, size, "one weight changed", error(ours["logits"], theirs["logits"]))


def main() -> int:
    parser = argparse.ArgumentParser(description="Exports what each library saves and compares with the library's own output.")
    parser.add_argument("networks", nargs="*", metavar="LIBRARY.NETWORK", help=f"of {', '.join(NETWORKS)}; all if none is given")
    parser.add_argument("--quick", action="store_true", help="one form of file each, at the small size")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/incept", help="the incept to prove")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown network {unknown[0]}")
    if not arguments.program.exists():
        parser.error(f"not found: {arguments.program}; run cargo build --release")

    header = f"{'library.network':38} {'file':16} {'size':8} {'output':28} {'error of range':14}"
    print(f"{header}\n{'-' * len(header)}", flush=True)
    began, rows, failed, stopped = time.monotonic(), 0, 0, 0
    for name in arguments.networks or NETWORKS:
        try:
            for row in prove(arguments.program, NETWORKS[name], arguments.quick):
                rows, failed = rows + 1, failed + (not row.holds)
                verdict = "" if row.holds else "FAILS"
                print(f"{row.network:38} {row.form:16} {row.size:8} {row.output:28} {row.error:<14.2e} {verdict}", flush=True)
            row = planted(arguments.program, NETWORKS[name])
            rows, failed = rows + 1, failed + row.holds
            verdict = "NOT FOUND" if row.holds else "found"
            print(f"{row.network:38} {row.form:16} {row.size:8} {row.output:28} {row.error:<14.2e} {verdict}", flush=True)
        except CouldNotRun as problem:
            stopped += 1
            print(f"{name:38} could not run: {problem}", flush=True)
    print(f"{rows - failed} of {rows} hold, {stopped} networks could not run, bound {TOLERANCE:.0e} of the range, {time.monotonic() - began:.0f} s")
    return 2 if stopped else int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
