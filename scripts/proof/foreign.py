"""The proof: files of other tools beside ours, compared by `incept check --against`, and a fault cut out by `incept bisect`.

    scripts/reference-environment.sh
    cargo build --release
    .runtime/reference/bin/python scripts/proof/foreign.py [--quick] [--polygraphy PROGRAM]

- timm's Inception-v4 as torch.onnx exports it, beside `incept export` of the same weights, at 299 x 299 (not with --quick);
- files of ours before and after ONNX Runtime's optimiser, at its three levels;
- float32 beside int8 as onnxruntime.quantization makes it (QDQ): compared, seen to differ, and held by a tolerance for int8;
- a fault planted in the foreign file, cut to its node by `incept bisect`, and the report loaded by onnx.checker, run by ONNX Runtime, and
  by Polygraphy where --polygraphy names its program.

Exits 0 if all is as it should be, 1 if any is not, 2 if something could not run.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime import quantization

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCEPT = ROOT / "target/release/incept"
LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
SIZE = 139


class CouldNotRun(Exception):
    """A program failed; the text says how."""


def incept(*arguments: object, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run([INCEPT, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode not in codes:
        raise CouldNotRun(f"incept {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def compare(a: pathlib.Path, b: pathlib.Path, *arguments: str) -> tuple[dict, float]:
    start = time.perf_counter()
    report = json.loads(incept("check", a, "--against", b, "--json", "-", *arguments, codes=(0, 1)))
    return report, time.perf_counter() - start


class Table:
    def __init__(self) -> None:
        self.wrong = 0
        print(f"{'A beside B':<44} {'aligned':>7} {'not: A':>7} {'not: B':>7} {'worst share':>12} {'holds':>6} {'seconds':>8}")

    def row(self, title: str, report: dict, seconds: float, *, holds: bool, least: int) -> None:
        run = report["runs"][0]
        layers = run["layers"] + run["outputs"]
        share = max((layer["accumulated"]["share"] or 0.0) for layer in layers)
        good = report["holds"] == holds and report["aligned"] >= least and run["compared"] == report["aligned"]
        self.wrong += not good
        print(
            f"{title:<44} {report['aligned']:>7} {len(report['unaligned_a']):>7} {len(report['unaligned_b']):>7} {share:>12.1e} "
            f"{'yes' if report['holds'] else 'no':>6} {seconds:>8.1f}{'' if good else '  WRONG'}",
            flush=True,
        )


def timm_beside_ours(folder: pathlib.Path, table: Table) -> None:
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("inception_v4", pretrained=False)
    # Statistics that are those of data: an untrained network's values would vanish.
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(torch.rand(4, 3, 299, 299) * 2 - 1)
    model.eval()
    weights, theirs, ours = folder / "timm.pth", folder / "timm.onnx", folder / "ours.onnx"
    torch.save(model.state_dict(), weights)
    torch.onnx.export(model, torch.zeros(1, 3, 299, 299), str(theirs), dynamo=False, input_names=["input0"], output_names=["output0"])
    incept("export", "inception_v4", "--weights", weights, "--image-size", 299, "-o", ours)
    report, seconds = compare(theirs, ours)
    table.row("timm, torch.onnx, 299 beside incept export", report, seconds, holds=True, least=337)


def optimised(model: pathlib.Path, level: str) -> pathlib.Path:
    path = model.with_name(f"{model.stem}_{level}.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return path


class Images(quantization.CalibrationDataReader):
    def __init__(self) -> None:
        self.batches = iter(np.random.default_rng(0).uniform(-1, 1, (3, 2, 3, SIZE, SIZE)).astype(np.float32))

    def get_next(self) -> dict | None:
        batch = next(self.batches, None)
        return None if batch is None else {"image": batch}


def optimiser_and_quantiser(folder: pathlib.Path, table: Table) -> None:
    for network in ["inception_v4", "inception_resnet_v2"]:
        ours = folder / f"{network}.onnx"
        incept("export", network, "--width", 0.25, "--image-size", SIZE, "--classes", 20, "-o", ours)
        # In fused operators and blocks of channels fewer values are left to compare.
        for level, least in {"basic": 300, "extended": 180, "all": 1}.items():
            report, seconds = compare(optimised(ours, level), ours)
            table.row(f"{network}, optimised ({level})", report, seconds, holds=True, least=least)
        int8 = folder / f"{network}_int8.onnx"
        quantization.quantize_static(ours, int8, Images(), per_channel=True)
        for rtol, holds in [("1e-5", False), ("0.5", True)]:
            report, seconds = compare(int8, ours, "--rtol", rtol)
            table.row(f"{network}, int8, --rtol {rtol}", report, seconds, holds=holds, least=300)


def fault_cut_out(folder: pathlib.Path, polygraphy: str | None) -> int:
    good, faulty, out = folder / "inception_v4.onnx", folder / "faulty.onnx", folder / "report"
    model = onnx.load(good)
    node = [node for node in model.graph.node if node.op_type == "AveragePool"][5]
    next(a for a in node.attribute if a.name == "count_include_pad").i = 1
    onnx.save(model, faulty)
    incept("bisect", faulty, "--against", good, "-o", out, "--batch", 2, codes=(1,))
    report = json.loads((out / "bisect.json").read_text())
    wrong = [n["name"] for n in report["nodes"]] != [node.name]
    print(f"\nbisect: {len(report['nodes'])} of {report['of_nodes']} nodes, {report['tried']} trials{'  WRONG' if wrong else ''}")

    def tensors(kind: str) -> dict[str, np.ndarray]:
        found = [onnx.load_tensor(path) for path in sorted((out / "test_data_set_0").glob(f"{kind}_*.pb"))]
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in found}

    for name, differs in [("model.onnx", True), ("reference.onnx", False)]:
        onnx.checker.check_model(out / name, full_check=True)
        session = onnxruntime.InferenceSession(out / name, providers=["CPUExecutionProvider"])
        inputs = dict(zip([value.name for value in session.get_inputs()], tensors("input").values(), strict=True))
        error = max(np.abs(a - b).max() for a, b in zip(session.run(None, inputs), tensors("output").values(), strict=True))
        good = (error > 1e-3) == differs
        wrong |= not good
        print(f"{name}: onnx.checker accepts it; ONNX Runtime differs from the report's outputs by {error:.1e}{'' if good else '  WRONG'}")
    if polygraphy is None:
        print("Polygraphy: skipped, --polygraphy names no program")
        return int(wrong)
    (out / "load_data.py").write_text(
        "import onnx\nfrom glob import glob\n\n\ndef load_data():\n"
        '    tensors = [onnx.load_tensor(path) for path in glob("test_data_set_0/input_*.pb")]\n'
        "    yield {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}\n"
    )
    command = [polygraphy, "run", "model.onnx", "--onnxrt", "--data-loader-script", "load_data.py"]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True)
    print(f"Polygraphy: exit code {done.returncode}, {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-300:]}")
    return int(wrong or done.returncode != 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without timm at 299 x 299")
    parser.add_argument("--polygraphy", help="Polygraphy's program")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        table = Table()
        if not arguments.quick:
            timm_beside_ours(folder, table)
        optimiser_and_quantiser(folder, table)
        table.wrong += fault_cut_out(folder, arguments.polygraphy)
    print("all is as it should be" if table.wrong == 0 else f"{table.wrong} are WRONG")
    return int(table.wrong > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CouldNotRun as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
