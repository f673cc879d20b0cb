"""Asks the package onnx whether ONNX files are right. Independent of the code that wrote them and of any runtime.

For each file: onnx's checker with full_check; shape inference from the input alone, strict and with types checked, which must
give every value the shape that the file records, and must leave out none. A dimension that inference cannot tell (it makes up
a name, unk__N) must have no number in the file either. With --evaluate, where `MODEL.image.npy` and
`MODEL.output.npy` lie beside a model, onnx's own ReferenceEvaluator (each operator in numpy) computes the output from the image,
and the largest difference from the one on disk, as a share of the largest value, must stay below --tolerance.

Prints one line for each file; exits 1 if any is wrong.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator


def shapes(values):
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in values
    }


def agree(recorded, inferred):
    """Whether two shapes are the same, as far as inference can tell."""
    def same(ours, theirs):
        made_up = isinstance(theirs, str) and theirs.startswith("unk__")
        return ours == theirs or (made_up and (ours == 0 or isinstance(ours, str)))

    return inferred is not None and len(recorded) == len(inferred) and all(map(same, recorded, inferred))


def without_values(model):
    """The same model with tensors of the same type and shape but no values: shapes do not depend on them."""
    small = onnx.ModelProto()
    small.CopyFrom(model)
    del small.graph.value_info[:]
    for output in small.graph.output:
        output.type.tensor_type.ClearField("shape")
    return small


def check(path):
    """What is wrong with the file, in words; None where nothing is."""
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    graph = model.graph
    recorded = shapes(graph.value_info) | shapes(graph.output)
    inferred_model = onnx.shape_inference.infer_shapes(without_values(model), check_type=True, strict_mode=True, data_prop=True)
    inferred = shapes(inferred_model.graph.value_info) | shapes(inferred_model.graph.output)
    computed = {name for node in graph.node for name in node.output}
    if computed != recorded.keys():
        return f"shapes are recorded for {len(recorded)} of {len(computed)} values: {sorted(computed ^ recorded.keys())[:5]}"
    for name in sorted(computed):
        if not agree(recorded[name], inferred.get(name)):
            return f"`{name}`: recorded shape {recorded[name]}, inferred {inferred.get(name)}"
    return None


def evaluate(path):
    """The largest difference between onnx's reference evaluator and the output on disk, relative to the largest value."""
    image = np.load(path.with_name(path.name + ".image.npy"))
    expected = np.load(path.with_name(path.name + ".output.npy"))
    (found,) = ReferenceEvaluator(str(path)).run(None, {"image": image})
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected).max() / np.abs(found).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    arguments = parser.parse_args()
    wrong = 0
    for path in arguments.models:
        try:
            problem = check(path)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            problem = str(error)
        verdict = problem or "valid"
        if arguments.evaluate and path.with_name(path.name + ".image.npy").exists():
            difference = evaluate(path)
            verdict += f", reference evaluator differs by {difference:.2e}"
            if not difference <= arguments.tolerance:
                problem = verdict = f"{verdict}, more than {arguments.tolerance:.0e}"
        wrong += problem is not None
        print(f"{path.name}: {verdict}", flush=True)
    print(f"{len(arguments.models) - wrong} of {len(arguments.models)} files valid, onnx {onnx.__version__}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
