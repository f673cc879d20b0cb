"""Golden vectors of the paper's three networks, computed by other people's implementations of their blocks.

    scripts/reference-environment.sh
    .runtime/reference/bin/python scripts/golden/networks.py [--check] [NETWORK...]

The networks are put together from the modules of timm (Inception-v4, Inception-ResNet-v2) and facenet-pytorch
(Inception-ResNet-v1), changed where the published networks differ from the paper's figures: the order of 1x7 and 7x1, the channels
that the blocks of Inception-ResNet-v2 are wired to, the last block of Inception-ResNet-v1. No code of incept takes part, besides the
portable generator of golden/generator.py.

Weights are the generator's (`randomised`, seed 0) under incept's canonical names, read from golden/networks/NETWORK.names.json; they meet
the modules' tensors in order, and every shape must agree. Computed in float64. golden/networks/NETWORK.safetensors holds

    logits                  [2, 1000]   of the image 107 high and 139 wide, batch 2, seed 0
    STAGE/mean, STAGE/std   [1]         of all elements of the stage's output, std as of a population
    STAGE/positions         [64]        where the samples are in the flattened output
    STAGE/samples           [64]        the values there

With --check nothing is written: the vectors are computed and compared with those in golden/networks.
"""

import argparse
import hashlib
import json
import pathlib
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1
from safetensors import safe_open
from safetensors.numpy import save_file
from timm.layers import ConvNormAct
from timm.models.inception_resnet_v2 import Block8, Block17, Block35, Mixed_6a, Mixed_7a
from timm.models.inception_v4 import InceptionB, InceptionC, InceptionV4
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "golden"))
import generator  # noqa: E402

SEED = 0
SHAPE = (2, 3, 107, 139)
SAMPLES = 64

# A network as a list of stages, in the order of incept's tensor names.
Stages = list[tuple[str, nn.Module]]

# timm's convolution with batch normalisation and ReLU, as its own networks set it up.
conv_block = partial(
    ConvNormAct, padding=0, norm_layer="batchnorm2d", act_layer="relu", norm_kwargs={"eps": 1e-3}, act_kwargs={"inplace": True}
)


def turned(layer: ConvNormAct) -> ConvNormAct:
    """The same layer with its kernel turned: 1x7 for 7x1, 3x1 for 1x3."""
    convolution = layer.conv
    return conv_block(
        convolution.in_channels,
        convolution.out_channels,
        kernel_size=convolution.kernel_size[::-1],
        stride=1,
        padding=convolution.padding[::-1],
    )


def head(features: int) -> list[tuple[str, nn.Module]]:
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return [("features", pool), ("logits", nn.Linear(features, 1000))]


def stem_of_figure_3() -> nn.Sequential:
    """timm's stem of Inception-v4 in the figure's order: 7x1 before 1x7."""
    stem = InceptionV4().features[:6]
    long = stem[4].branch1
    long[1], long[2] = turned(long[1]), turned(long[2])
    return stem


def build_inception_v4() -> Stages:
    blocks = InceptionV4().features
    for block in blocks:
        if isinstance(block, InceptionB):
            for index in (1, 2, 3, 4):
                block.branch2[index] = turned(block.branch2[index])
        if isinstance(block, InceptionC):
            block.branch2_1 = turned(block.branch2_1)
            block.branch2_2 = turned(block.branch2_2)
    return [
        ("stem", stem_of_figure_3()),
        ("inception_a", blocks[6:10]),
        ("reduction_a", blocks[10]),
        ("inception_b", blocks[11:18]),
        ("reduction_b", blocks[18]),
        ("inception_c", blocks[19:22]),
        *head(1536),
    ]


def build_inception_resnet_v1() -> Stages:
    network = InceptionResnetV1(classify=True, num_classes=1000)
    stem = nn.Sequential(
        network.conv2d_1a,
        network.conv2d_2a,
        network.conv2d_2b,
        network.maxpool_3a,
        network.conv2d_3b,
        network.conv2d_4a,
        network.conv2d_4b,
    )
    return [
        ("stem", stem),
        ("inception_resnet_a", network.repeat_1),
        ("reduction_a", network.mixed_6a),
        ("inception_resnet_b", network.repeat_2),
        ("reduction_b", network.mixed_7a),
        ("inception_resnet_c", network.repeat_3),
        *head(1792),
    ]


def wired_to(channels: int, block: nn.Module, published: int) -> nn.Module:
    """A block of timm's Inception-ResNet-v2 with `channels` in (and out, if it is residual) where it is published with another number."""
    for module in block.modules():
        for name, layer in list(module.named_children()):
            if not isinstance(layer, nn.Conv2d):
                continue
            inputs = channels if layer.in_channels == published else layer.in_channels
            outputs = channels if module is block and name == "conv2d" else layer.out_channels
            rewired = nn.Conv2d(
                inputs, outputs, layer.kernel_size, layer.stride, layer.padding, bias=layer.bias is not None
            )
            setattr(module, name, rewired)
    return block


def build_inception_resnet_v2() -> Stages:
    def residual(kind: Callable[..., nn.Module], times: int, scale: float, channels: int, published: int) -> nn.Sequential:
        return nn.Sequential(*[wired_to(channels, kind(scale=scale, conv_block=conv_block), published) for _ in range(times)])

    return [
        ("stem", stem_of_figure_3()),
        ("inception_resnet_a", residual(Block35, 5, 0.17, 384, 320)),
        ("reduction_a", wired_to(384, Mixed_6a(conv_block=conv_block), 320)),
        ("inception_resnet_b", residual(Block17, 10, 0.10, 1152, 1088)),
        ("reduction_b", wired_to(1152, Mixed_7a(conv_block=conv_block), 1088)),
        ("inception_resnet_c", residual(Block8, 5, 0.20, 2144, 2080)),
        *head(2144),
    ]


# The builder, the trainable parameters and the convolutions that the network must have.
NETWORKS: dict[str, tuple[Callable[[], Stages], int, int]] = {
    "inception_v4": (build_inception_v4, 42_679_816, 149),
    "inception_resnet_v1": (build_inception_resnet_v1, 22_756_328, 127),
    "inception_resnet_v2": (build_inception_resnet_v2, 32_433_928, 132),
}

# What PyTorch calls the tensors that incept calls otherwise, by module.
PARTS = {
    nn.Conv2d: {"weight": "weight", "bias": "bias"},
    nn.Linear: {"weight": "weight", "bias": "bias"},
    nn.BatchNorm2d: {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_variance"},
}


def tensors(stages: Stages) -> Iterator[tuple[str, str, torch.Tensor]]:
    """Every tensor in the order of construction, with the stage it is in and the last part of its canonical name."""
    for stage, root in stages:
        for module in root.modules():
            kind = next((kind for kind in PARTS if isinstance(module, kind)), None)
            own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
            own.pop("num_batches_tracked", None)
            assert kind is not None or not own, f"{stage}: {type(module).__name__} holds {list(own)}"
            for theirs, ours in PARTS[kind].items() if kind else ():
                if own.get(theirs) is not None:
                    yield stage, ours, own[theirs]


def load(network: str, stages: Stages) -> str:
    """Fills the modules with the generator's weights. Returns the SHA-256 of all weights in the order of their names."""
    names = json.loads((ROOT / f"golden/networks/{network}.names.json").read_text())
    found = list(tensors(stages))
    assert len(names) == len(found), f"{network}: {len(names)} names, {len(found)} tensors"
    digest = hashlib.sha256()
    for (name, shape), (stage, part, tensor) in zip(names, found):
        assert name.split("/")[0].split(".")[0] == stage, f"{network}: {name} meets a tensor of {stage}"
        assert name.split("/")[-1] == part, f"{network}: {name} meets a {part}"
        assert tuple(shape) == tuple(tensor.shape), f"{network}: {name} is {shape}, the tensor is {list(tensor.shape)}"
        values = generator.randomised(SEED, name, tuple(shape))
        digest.update(values.tobytes())
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values))
    return digest.hexdigest()


def compute(network: str) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    build, parameters, convolutions = NETWORKS[network]
    stages = build()
    modules = nn.ModuleList([module for _, module in stages]).double().eval()
    counted = sum(parameter.numel() for parameter in modules.parameters())
    assert counted == parameters, f"{network}: {counted} parameters, expected {parameters}"
    counted = sum(isinstance(module, nn.Conv2d) for module in modules.modules())
    assert counted == convolutions, f"{network}: {counted} convolutions, expected {convolutions}"
    for module in modules.modules():
        assert not isinstance(module, nn.BatchNorm2d) or module.eps == 1e-3
        assert not isinstance(module, nn.AvgPool2d) or not module.count_include_pad
    weights = load(network, stages)

    image = generator.image(SEED, SHAPE)
    output = torch.from_numpy(image).double()
    vectors: dict[str, np.ndarray] = {}
    for stage, module in stages:
        with torch.no_grad():
            output = module(output)
        flat = output.numpy().ravel()
        # Odd multiples of a 129th: spread over batch, channels and places, and not in step with the shape.
        positions = (2 * np.arange(SAMPLES) + 1) * flat.size // (2 * SAMPLES + 1)
        vectors[f"{stage}/mean"] = np.array([flat.mean()])
        vectors[f"{stage}/std"] = np.array([flat.std()])
        vectors[f"{stage}/positions"] = positions.astype(np.int64)
        vectors[f"{stage}/samples"] = flat[positions]
        print(f"  {stage:20} {str(list(output.shape)):20} mean {flat.mean():+.6f}  std {flat.std():.6f}")
    vectors["logits"] = output.numpy()
    provenance = {
        "schema": "incept.golden/1",
        "network": network,
        "variant": "paper",
        "image": {"name": "image", "seed": SEED, "shape": SHAPE, "sha256": hashlib.sha256(image.tobytes()).hexdigest()},
        "weights": {"seed": SEED, "mode": "randomised", "sha256": weights},
        "stages": [stage for stage, _ in stages],
        "made_by": "scripts/golden/networks.py",
        "libraries": {name: version(name) for name in ("torch", "timm", "facenet-pytorch", "numpy", "safetensors")},
        "python": platform.python_version(),
    }
    return vectors, provenance


def check(network: str, vectors: dict[str, np.ndarray]) -> None:
    """Compares with what is stored. Sums in another order differ in the last bits of float64, never by more than this."""
    with safe_open(ROOT / f"golden/networks/{network}.safetensors", "numpy") as stored:
        assert sorted(stored.keys()) == sorted(vectors), f"{network}: other tensors than stored"
        worst = 0.0
        for name, values in vectors.items():
            expected = stored.get_tensor(name)
            scale = max(float(np.abs(expected).max()), 1e-30)
            worst = max(worst, float(np.abs(values - expected).max()) / scale)
    assert worst < 1e-11, f"{network}: differs from what is stored by {worst:.1e} of the largest value"
    print(f"  agrees with what is stored within {worst:.1e} of the largest value of each tensor")


def main() -> None:
    parser = argparse.ArgumentParser(description="Golden vectors of the paper's networks from independent implementations.")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; all if none is given")
    parser.add_argument("--check", action="store_true", help="compare with the stored vectors and write nothing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown network {unknown[0]}")
    for network in arguments.networks or NETWORKS:
        print(network)
        vectors, provenance = compute(network)
        if arguments.check:
            check(network, vectors)
            continue
        path = ROOT / f"golden/networks/{network}.safetensors"
        # One entry, as the library writes several in no particular order.
        save_file(vectors, path, metadata={"incept": json.dumps(provenance)})
        print(f"  wrote {path.relative_to(ROOT)}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
