"""The networks that the benchmarks compare with: the golden vectors' networks, made of timm's and facenet-pytorch's modules.

    .runtime/reference/bin/python scripts/bench/reference.py NETWORK MODEL.onnx [--image-size N] [--opset N] [--published]

writes NETWORK with torch.onnx.export(dynamo=False), as someone without incept would. The weights are those of
`incept export NETWORK --seed 0`, so that outputs can be compared. --published takes timm's own inception_v4 instead.
"""

import argparse
import json
import pathlib
import sys
import warnings

import torch
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "golden"), str(ROOT / "scripts" / "golden")]
import generator  # noqa: E402
import networks  # noqa: E402


def build(network: str, published: bool = False, dropout: float = 0.0) -> nn.Module:
    """A network in float32 with seeded initial weights, in evaluation mode."""
    if published:
        import timm

        return timm.create_model("inception_v4", drop_rate=dropout).eval()
    stages = networks.NETWORKS[network][0]()
    names = json.loads((ROOT / f"golden/networks/{network}.names.json").read_text())
    for (name, shape), (_, part, tensor) in zip(names, networks.tensors(stages), strict=True):
        assert tuple(shape) == tuple(tensor.shape), name
        with torch.no_grad():
            if part == "weight":
                tensor.copy_(torch.from_numpy(generator.weights(0, name, tuple(shape))))
            else:
                tensor.fill_(1.0 if part in ("gamma", "running_variance") else 0.0)
    modules = [module for _, module in stages]
    if dropout:
        modules.insert(-1, nn.Dropout(dropout))
    return nn.Sequential(*modules).eval()


def export(network: nn.Module, path: str, image_size: int, opset: int) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        # That this exporter is the old one: it is the one that people use for these networks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, image_size, image_size),),
            path,
            dynamo=False,
            opset_version=opset,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes a network with torch.onnx.export(dynamo=False).")
    parser.add_argument("network", choices=list(networks.NETWORKS))
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("--image-size", type=int, default=299)
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--published", action="store_true", help="timm's own inception_v4, with random weights")
    arguments = parser.parse_args()
    export(build(arguments.network, arguments.published), arguments.model, arguments.image_size, arguments.opset)


if __name__ == "__main__":
    main()
