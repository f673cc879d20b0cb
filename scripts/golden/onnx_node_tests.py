"""ONNX's own tests of the operators that incept emits, as the `onnx` package has them.

    .runtime/python/bin/python scripts/golden/onnx_node_tests.py [--check]

The package holds its node tests as code; this script runs that code and writes those tests that are of an operator, with types, ranks and
attributes that `incept export` emits, to golden/onnx-node-tests/NAME/ in ONNX's own layout: model.onnx, test_data_set_0/input_K.pb and output_K.pb.
Nothing is changed but one thing: a model that asks for a newer operator set than incept writes asks for the newest that it does, under which its
operator means the same. The README there says what is left out.

With --check nothing is written: the files have to be what the package gives.
"""

import argparse
import importlib.metadata
import pathlib
import shutil
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "golden/onnx-node-tests"

# What exporters/src/onnx emits.
OPERATORS = {
    *("Add", "AveragePool", "BatchNormalization", "Cast", "Concat", "Constant", "Conv", "Div", "Flatten", "Gemm", "GlobalAveragePool", "Identity"),
    *("Max", "MaxPool", "Mod", "Mul", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Shape", "Slice", "Softmax", "Sqrt", "Sub"),
    "Transpose",
}
# The element types that incept emits.
TYPES = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.UINT8, TensorProto.INT64}
# The newest operator set that incept writes (exporters/src/onnx/options.rs), and its version of the file format.
NEWEST_OPSET, NEWEST_IR = 26, 13
# Images have two dimensions.
OF_IMAGES = {"AveragePool", "Conv", "MaxPool"}
# Attributes that are never emitted, of pools, training, Resize.
NEVER = {
    "AveragePool": {"dilations"},
    "BatchNormalization": {"training_mode"},
    "Conv": {"auto_pad"},
    "MaxPool": {"auto_pad", "storage_order"},
    "Resize": {"extrapolation_value", "keep_aspect_ratio_policy"},
}
# Resize is emitted as cubic; linear is what it falls back to in some runtimes.
MODES = {b"cubic", b"linear"}
# A larger test shows nothing that a smaller one does not.
LARGEST = 40_000


def emitted(case: TestCase) -> bool:
    """Whether a test is of what incept emits."""
    nodes = case.model.graph.node
    if len(nodes) != 1 or nodes[0].domain or nodes[0].op_type not in OPERATORS or "_expanded" in case.name:
        return False
    node = nodes[0]
    attributes = {attribute.name: attribute for attribute in node.attribute}
    values = [*case.model.graph.input, *case.model.graph.output]
    if any(value.type.tensor_type.elem_type not in TYPES for value in values):
        return False
    # Of an output without elements there is nothing to compare.
    if any(np.asarray(value).size == 0 for _, outputs in case.data_sets for value in outputs if not isinstance(value, TensorProto)):
        return False
    if node.op_type == "Mod" and values[0].type.tensor_type.elem_type != TensorProto.INT64:
        return False
    if node.op_type in OF_IMAGES and len(values[0].type.tensor_type.shape.dim) != 4:
        return False
    if NEVER.get(node.op_type, set()) & set(attributes) or len(node.output) > 1:
        return False
    if node.op_type == "Resize" and attributes["mode"].s not in MODES:
        return False
    return True


def files(case: TestCase) -> dict[str, bytes]:
    """A test as files, by path from its folder."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > NEWEST_OPSET:
            opset.version = NEWEST_OPSET
            model.ir_version = min(model.ir_version, NEWEST_IR)
    onnx.checker.check_model(model, full_check=True)
    result = {"model.onnx": model.SerializeToString(deterministic=True)}
    for number, (inputs, outputs) in enumerate(case.data_sets):
        for kind, values, declared in (("input", inputs, model.graph.input), ("output", outputs, model.graph.output)):
            for place, value in enumerate(values):
                tensor = value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value), declared[place].name)
                result[f"test_data_set_{number}/{kind}_{place}.pb"] = tensor.SerializeToString(deterministic=True)
    return result


def selected() -> Iterator[tuple[str, dict[str, bytes]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    for case in sorted(cases, key=lambda case: case.name):
        if emitted(case):
            made = files(case)
            if sum(map(len, made.values())) <= LARGEST:
                yield case.name, made


def main() -> int:
    parser = argparse.ArgumentParser(description="ONNX's own tests of the operators that incept emits.")
    parser.add_argument("--check", action="store_true", help="compare with the stored files and write nothing")
    arguments = parser.parse_args()
    version = importlib.metadata.version("onnx")
    tests = dict(selected())
    made = {f"{name}/{path}": data for name, parts in tests.items() for path, data in parts.items()}
    stored = {str(path.relative_to(FOLDER)): path for path in FOLDER.glob("*/**/*") if path.is_file()}
    if arguments.check:
        differing = sorted(made.keys() ^ stored.keys()) + [name for name in made.keys() & stored.keys() if stored[name].read_bytes() != made[name]]
        for name in differing:
            print(f"differs: {name}")
        print(f"{len(tests)} tests of onnx {version}, {len(made)} files, {len(differing)} differ")
        return int(bool(differing))
    for folder in FOLDER.glob("test_*"):
        shutil.rmtree(folder)
    for name, data in made.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(tests)} tests of onnx {version}, {len(made)} files, {sum(map(len, made.values()))} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
