#!/usr/bin/env python3
"""Writes golden/checkpoints/pytorch/: small checkpoints as torch.save and others write them, with what is in them.

Usage:  pip install torch==2.11.0 numpy==2.4.6 safetensors==0.8.0 && python scripts/golden/checkpoints_pytorch.py [FOLDER]

For each NAME.pth that can be read there is NAME.safetensors, written by the safetensors package from the tensors in
memory, as float32 and row-major; expected.json has the types they were saved with. A .pth without one is to be refused.
The tests are exporters/tests/pytorch_checkpoints.rs. Nothing here is taken from incept.
"""

import argparse
import collections
import io
import json
import os
import pickle
import random
import sys
import zipfile
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "golden" / "checkpoints" / "pytorch")
TYPES = {}


def saved(value, **options):
    """The bytes torch.save writes; from a buffer, so that the archive's folder is always called `archive`."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def write(name, data, tensors=None):
    (FOLDER / f"{name}.pth").write_bytes(data)
    if tensors is not None:
        TYPES[name] = {key: str(tensor.dtype).removeprefix("torch.") for key, tensor in tensors.items()}
        plain = {key: tensor.detach().to(torch.float32).clone(memory_format=torch.contiguous_format)
                 for key, tensor in tensors.items()}
        safetensors.torch.save_file(plain, FOLDER / f"{name}.safetensors")


def numbers(*shape):
    return torch.randn(*shape)


def state(width=3):
    """A convolution with batch-norm, as a module gives it."""
    module = nn.Sequential(nn.Conv2d(2, width, 3, bias=False), nn.BatchNorm2d(width))
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn_like(tensor))
    return module.state_dict()


def prefixed(prefix, tensors):
    return {prefix + key: tensor for key, tensor in tensors.items()}


def every_type():
    tensors = {}
    for dtype in [torch.float16, torch.bfloat16, torch.float32, torch.float64]:
        limits = torch.finfo(dtype)
        values = [0.0, -0.0, 1.5, -2.25, 1 / 3, limits.max, limits.tiny, limits.tiny / 4, float("inf")]
        tensors[str(dtype)[6:]] = torch.tensor(values, dtype=torch.float64).to(dtype)
    for dtype in [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]:
        limits = torch.iinfo(dtype)
        tensors[str(dtype)[6:]] = torch.tensor([limits.min, limits.max, 0, 1, 77], dtype=dtype)
    tensors["bool"] = torch.tensor([True, False, True])
    return tensors


def views():
    base = numbers(6, 8)
    return {
        "whole": base,
        "transposed": base.t(),
        "permuted": numbers(2, 3, 4).permute(2, 0, 1),
        "part": base[2:5, 3:7],
        "every_other": base[1::2, ::3],
        "channels_last": numbers(4, 3, 3, 2).contiguous(memory_format=torch.channels_last),
        "expanded": numbers(3, 1).expand(3, 5),
        "scalar": torch.tensor(2.5),
        "scalar_of_another": base[3, 4],
        "empty": torch.zeros(0, 4),
        "empty_part": base[6:, 2:],
        "same": base,
    }


class Evil:
    """Calls a program when Python loads it."""

    def __reduce__(self):
        return os.system, ("echo executed",)


class PairsOfPython2(dict):
    """Python 2 wrote an ordered dictionary as a list of pairs."""

    def __reduce__(self):
        return collections.OrderedDict, ([[key, value] for key, value in self.items()],)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)


def training_checkpoint(tensors):
    """What a training program saves beside the weights."""
    module = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
    return {
        "epoch": 7,
        "arch": "inception_v4",
        "state_dict": tensors,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "args": argparse.Namespace(lr=0.1, names=["a", "b"], path=Path("runs")),
        "best": np.float64(80.25),
        "curve": np.arange(3, dtype=np.float32),
        "classes": {"cat", "dog"},
        "counts": collections.defaultdict(int, cat=3),
        "random": random.Random(0).getstate()[:1],
        "large": 1 << 80,
        "none": None,
    }


def records(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def zipped(entries, method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


class Unseekable(io.RawIOBase):
    """A stream: what is written to it has its lengths behind it, not before."""

    def __init__(self):
        self.content = bytearray()

    def writable(self):
        return True

    def write(self, content):
        self.content += content
        return len(content)


def deflated(data, folder):
    stream = Unseekable()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in records(data):
            archive.writestr(zipfile.ZipInfo(name.replace("archive", folder, 1)), content, zipfile.ZIP_DEFLATED)
    return bytes(stream.content)


def big_endian(data, tensors):
    """What a big-endian machine writes: the records of numbers turned round, in the order they were saved."""
    sizes = iter([tensor.element_size() for tensor in tensors.values()])
    entries = []
    for name, content in records(data):
        if "/data/" in name:
            content = np.frombuffer(content, dtype=f">u{next(sizes)}").byteswap().tobytes()
        entries.append((name, b"big" if name.endswith("byteorder") else content))
    data = zipped(entries, zipfile.ZIP_STORED)
    read = torch.load(io.BytesIO(data))
    assert all(torch.equal(read[key], tensor) for key, tensor in tensors.items())
    return data


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in [*FOLDER.glob("*.pth"), *FOLDER.glob("*.safetensors")]:
        old.unlink()
    torch.manual_seed(3)

    types = every_type()
    write("types", saved(types), types)
    write("types_legacy", saved(types, _use_new_zipfile_serialization=False), types)
    write("big_endian", big_endian(saved(types), types), types)

    shared = views()
    write("views", saved(shared), shared)
    write("views_legacy", saved(shared, _use_new_zipfile_serialization=False), shared)
    write("deflated", deflated(saved(shared), "work/final model"), shared)
    write("without_folder", zipped([(name.removeprefix("archive/"), content) for name, content in
                                    records(saved(shared))], zipfile.ZIP_STORED), shared)

    tensors = state()
    write("training", saved(training_checkpoint(tensors)), tensors)
    write("training_legacy", saved(training_checkpoint(tensors), _use_new_zipfile_serialization=False), tensors)
    for protocol in range(1, 6):
        write(f"protocol_{protocol}", saved(training_checkpoint(tensors), pickle_protocol=protocol), tensors)
        if protocol in (1, 4):
            write(f"protocol_{protocol}_legacy", saved(training_checkpoint(tensors), pickle_protocol=protocol,
                                                      _use_new_zipfile_serialization=False), tensors)

    write("module_and_ema", saved({"model_ema": prefixed("module.", state()), "model": prefixed("module.", tensors)}),
          tensors)
    write("ema_only", saved({"ema": {"decay": 0.99, "module": tensors}, "step": 3}), tensors)
    write("compiled", saved(prefixed("_orig_mod.module.", tensors)), tensors)
    some = {**prefixed("module.", tensors), "scale": torch.ones(2)}
    write("prefix_of_some", saved(some), some)
    write("unusual_key", saved({"info": [1, 2], "our_net": {"parts": tensors}}), tensors)
    several = {"first": state(), "second": state(2)}
    write("several", saved(several), {**prefixed("first.", several["first"]), **prefixed("second.", several["second"])})
    write("pairs_of_python_2", saved(PairsOfPython2(tensors), _use_new_zipfile_serialization=False), tensors)

    parameter, attributed, plain = nn.Parameter(numbers(2, 3)), nn.Parameter(numbers(4)), numbers(3, 2).t()
    attributed.origin, plain.origin = "here", "there"
    parameters = {"parameter": parameter, "attributed": attributed, "plain": plain, "buffer": nn.Buffer(numbers(2))}
    write("parameters", saved(parameters), parameters)
    write("parameters_legacy", saved(parameters, _use_new_zipfile_serialization=False), parameters)

    torch.serialization.set_crc32_options(False)
    write("without_checksums", saved(tensors), tensors)
    torch.serialization.set_crc32_options(True)

    write("evil_beside", saved({"state_dict": tensors, "evil": [Evil(), {"again": Evil()}]}), tensors)
    write("evil_within", saved({**tensors, "evil": Evil()}), tensors)
    write("evil_beside_legacy", saved({"state_dict": tensors, "evil": Evil()}, _use_new_zipfile_serialization=False),
          tensors)

    # To be refused.
    write("refused_evil", saved(Evil()))
    write("refused_module", saved(Net()))
    write("refused_module_inside", saved({"epoch": 3, "model": Net()}))
    write("refused_module_legacy", saved(Net(), _use_new_zipfile_serialization=False))
    write("refused_tensor", saved(numbers(3)))
    write("refused_no_tensors", saved({"epoch": 3, "names": ["a", "b"]}))
    special = {
        "complex": numbers(2, 2).to(torch.complex64),
        "negated": numbers(2, 2).to(torch.complex64).conj().imag,
        "sparse": torch.eye(3).to_sparse(),
        "quantised": torch.quantize_per_tensor(numbers(3), 0.1, 0, torch.qint8),
        "meta": torch.ones(3, device="meta"),
        "float8": numbers(3).to(torch.float8_e4m3fn),
        "uint16": torch.arange(3).to(torch.uint16),
    }
    for name, tensor in special.items():
        write(f"refused_{name}", saved({"good": numbers(2), "bad": tensor}))
    write("refused_complex_legacy", saved({"bad": special["complex"]}, _use_new_zipfile_serialization=False))
    write("complex_beside_legacy", saved({"model": tensors, "spectrum": special["complex"]},
                                         _use_new_zipfile_serialization=False), tensors)
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(Net()), script)
    write("refused_torchscript", script.getvalue())
    write("refused_pickle", pickle.dumps({key: tensor.numpy() for key, tensor in tensors.items()}))

    versions = {"torch": torch.__version__, "numpy": np.__version__, "safetensors": safetensors.__version__}
    (FOLDER / "expected.json").write_text(json.dumps({"versions": versions, "types": TYPES}, indent=1) + "\n")


if __name__ == "__main__":
    main()
