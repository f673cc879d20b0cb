"""Golden TensorFlow checkpoints, written by TensorFlow itself, with what they hold as safetensors.

    python3.11 -m venv .venv
    .venv/bin/pip install tensorflow-cpu==2.21.0 safetensors==0.8.0 cramjam==2.14.0
    .venv/bin/python scripts/golden/checkpoints_tensorflow.py

Writes golden/checkpoints/tensorflow. Expected values (NAME.safetensors) are the arrays that went in, never what was read back.

    v1_slim    Saver, V1: a TF-slim training checkpoint with slots, averages, partitioned variables
    v1_types   SaveSlices: every element type that V1 can write, a variable in a grid of slices, nothing, one number
    v1_snappy  the entries of v1_slim in small snappy-compressed blocks
    v2_slim    Saver, V2: as v1_slim
    v2_types   SaveV2 twice and MergeV2Checkpoints: every element type and slices, over two shards
    v2_snappy  the entries of v2_types in small snappy-compressed blocks
    v2_objects tf.train.Checkpoint: the object-based names of TensorFlow 2
    others/    what people give instead of a checkpoint: a frozen graph, a meta graph, a saved model, a `checkpoint` file

TensorFlow no longer compresses the blocks of its tables, though releases before 1.2 did and all of them read it: `write_table` here does
it, and TensorFlow must read back the same values.
"""

import os
import pathlib
import shutil
import struct
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import cramjam
import ml_dtypes
import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

v1 = tf.compat.v1
ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "golden" / "checkpoints" / "tensorflow"
MAGIC = 0xDB4775248B80FB57


# Tables.


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def block_entries(data: bytes, offset: int, size: int) -> list[tuple[bytes, bytes]]:
    """The entries of an uncompressed block, as TensorFlow writes them."""
    assert data[offset + size] == 0, "a compressed block"
    block = data[offset : offset + size]
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    entries, key, at = [], b"", 0
    while at < end:
        shared, at = read_varint(block, at)
        fresh, at = read_varint(block, at)
        length, at = read_varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        entries.append((key, block[at : at + length]))
        at += length
    return entries


def read_table(path: pathlib.Path) -> list[tuple[bytes, bytes]]:
    data = path.read_bytes()
    assert struct.unpack("<Q", data[-8:])[0] == MAGIC
    _, at = read_varint(data, len(data) - 48)
    _, at = read_varint(data, at)
    offset, at = read_varint(data, at)
    size, _ = read_varint(data, at)
    entries = []
    for _, handle in block_entries(data, offset, size):
        start, at = read_varint(handle, 0)
        length, _ = read_varint(handle, at)
        entries += block_entries(data, start, length)
    return entries


def write_table(path: pathlib.Path, entries: list[tuple[bytes, bytes]], block_size: int) -> None:
    """A table with snappy-compressed blocks. The first stays as it is, for a file may mix both."""
    out = bytearray()

    def block(pairs: list[tuple[bytes, bytes]], restart_interval: int, compressed: bool) -> bytes:
        body, restarts, previous = bytearray(), [], b""
        for number, (key, value) in enumerate(pairs):
            shared = 0
            if number % restart_interval == 0:
                restarts.append(len(body))
            else:
                shared = len(os.path.commonprefix([previous, key]))
            body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            previous = key
        body += b"".join(struct.pack("<I", restart) for restart in restarts or [0])
        body += struct.pack("<I", max(1, len(restarts)))
        data = bytes(cramjam.snappy.compress_raw(bytes(body))) if compressed else bytes(body)
        kind = bytes([int(compressed)])
        handle = varint(len(out)) + varint(len(data))
        out.extend(data + kind + struct.pack("<I", masked(crc32c(data + kind))))
        return handle

    index, pending, size = [], [], 0
    for key, value in entries:
        pending.append((key, value))
        size += len(key) + len(value)
        if size >= block_size:
            index.append((key, block(pending, 16, compressed=bool(index))))
            pending, size = [], 0
    if pending:
        index.append((pending[-1][0], block(pending, 16, compressed=True)))
    assert len(index) > 2
    metaindex = block([], 1, compressed=False)
    handles = metaindex + block(index, 1, compressed=True)
    out += handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    path.write_bytes(out)


# What the checkpoints hold.


def numbers(*shape: int) -> np.ndarray:
    """Numbers with a fraction, exact in float16."""
    return (rng.integers(-512, 512, shape) / 64).astype(np.float32)


def every_type() -> dict[str, np.ndarray]:
    whole = rng.integers(-128, 128, (5, 7))
    return {
        "types/float32": np.array([0.0, -0.0, 1e-45, 3.4028235e38, np.inf, -np.inf, 1 / 3], np.float32),
        "types/float64": numbers(3, 4).astype(np.float64) / 3,
        "types/float16": numbers(2, 3, 5).astype(np.float16),
        "types/bfloat16": numbers(9).astype(ml_dtypes.bfloat16),
        "types/int8": whole.astype(np.int8),
        "types/uint8": (whole + 128).astype(np.uint8),
        "types/int16": (whole * 255).astype(np.int16),
        "types/int32": (whole * 131_071).astype(np.int32),
        "types/int64": np.concatenate([whole.astype(np.int64) << 55, whole.astype(np.int64) * 65_535]),
        "types/bool": whole > 0,
    }


def slim() -> tuple[dict[str, np.ndarray], dict[str, tuple[np.ndarray, int, int]]]:
    """Whole variables; and partitioned ones, each with axis and number of parts."""
    layer = "InceptionV4/Conv2d_1a_3x3"
    whole = {
        "global_step": np.array(345_678, np.int64),
        f"{layer}/weights": numbers(3, 3, 3, 32),
        f"{layer}/weights/RMSProp": np.ones((3, 3, 3, 32), np.float32),
        f"{layer}/weights/RMSProp_1": np.zeros((3, 3, 3, 32), np.float32),
        f"{layer}/weights/ExponentialMovingAverage": numbers(3, 3, 3, 32),
        f"{layer}/BatchNorm/beta": numbers(32),
        f"{layer}/BatchNorm/moving_mean": numbers(32),
        f"{layer}/BatchNorm/moving_variance": np.abs(numbers(32)) + 0.25,
        "InceptionV4/Logits/Logits/biases": numbers(1001),
    }
    for number in range(40):
        whole[f"InceptionV4/Mixed_5b/Branch_{number}/BatchNorm/moving_mean"] = numbers(8)
    partitioned = {
        "InceptionV4/Logits/Logits/weights": (numbers(24, 101), 0, 5),
        "InceptionV4/Logits/Columns/weights": (numbers(2, 700), 1, 3),
    }
    return whole, partitioned


def part(spec: str, array: np.ndarray) -> np.ndarray:
    """The slice of `array` that TensorFlow's `shape slices` text names."""
    ranges = spec.split(" ")[-1].split(":") if spec else []
    places = [slice(None) if r == "-" else slice(int(r.split(",")[0]), sum(map(int, r.split(",")))) for r in ranges]
    return array[tuple(places)]


def save_slim(path: pathlib.Path, version: int) -> dict[str, np.ndarray]:
    whole, partitioned = slim()
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in whole.items():
            v1.get_variable(name, initializer=value, use_resource=False)
        for name, (value, axis, parts) in partitioned.items():
            v1.get_variable(
                name,
                shape=value.shape,
                initializer=lambda shape, dtype, partition_info, value=value: tf.constant(
                    value[tuple(slice(o, o + n) for o, n in zip(partition_info.var_offset, shape))]
                ),
                partitioner=v1.fixed_size_partitioner(parts, axis),
                use_resource=False,
            )
        session.run(v1.global_variables_initializer())
        v1.train.Saver(write_version=version).save(session, str(path), write_meta_graph=False, write_state=False)
    return whole | {name: value for name, (value, _, _) in partitioned.items()}


def sliced() -> list[tuple[str, np.ndarray, list[str]]]:
    """Variables saved in slices: a grid, and one long enough for its keys to have numbers of every length."""
    boxes = [f"5 4 6 {rows}:-:{columns}" for rows in ("0,2", "2,3") for columns in ("0,1", "1,2", "3,3")]
    long = (np.arange(20_000) // 100).astype(np.uint8)
    return [("grid", numbers(5, 4, 6), boxes), ("long", long, ["20000 0,70", "20000 70,9000", "20000 9070,10930"])]


def rows() -> tuple[dict[str, np.ndarray], list[tuple[str, str, np.ndarray]]]:
    """Whole variables and slices as SaveSlices and SaveV2 take them: name, slice, values."""
    expected = every_type() | {"nothing": np.zeros((0, 3), np.float32), "one": np.array(-2.5, np.float32)}
    found = [(name, "", value) for name, value in expected.items()]
    for name, value, specs in sliced():
        expected[name] = value
        found += [(name, spec, part(spec, value)) for spec in specs]
    return expected, [*found, ("left_out", "", np.array([1 + 2j], np.complex64))]


def save_types_v1(path: pathlib.Path) -> dict[str, np.ndarray]:
    expected, found = rows()
    del expected["types/bfloat16"]
    found = [row for row in found if row[0] != "types/bfloat16"]
    tf.raw_ops.SaveSlices(
        filename=str(path),
        tensor_names=[name for name, _, _ in found],
        shapes_and_slices=[spec for _, spec, _ in found],
        data=[tf.constant(value) for _, _, value in found],
    )
    return expected


def save_types_v2(path: pathlib.Path) -> dict[str, np.ndarray]:
    expected, found = rows()
    found.append(("words", "", np.array(["left", "out"])))
    with tempfile.TemporaryDirectory() as temporary:
        halves = [f"{temporary}/half_{number}" for number in range(2)]
        for number, half in enumerate(halves):
            mine = found[number::2]
            tf.raw_ops.SaveV2(
                prefix=half,
                tensor_names=[name for name, _, _ in mine],
                shape_and_slices=[spec for _, spec, _ in mine],
                tensors=[tf.constant(value) for _, _, value in mine],
            )
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=halves, destination_prefix=str(path))
    return expected


class Layer(tf.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kernel = tf.Variable(numbers(inputs, outputs))
        self.bias = tf.Variable(numbers(outputs))


class Model(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [Layer(4, 8), Layer(8, 3)]

    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        for layer in self.layers:
            x = x @ layer.kernel + layer.bias
        return x


def save_objects(path: pathlib.Path) -> dict[str, np.ndarray]:
    model = Model()
    tf.train.Checkpoint(model=model).save(str(path))
    for written in path.parent.glob(f"{path.name}-1.*"):
        written.rename(path.parent / written.name.replace(f"{path.name}-1", path.name))
    (path.parent / "checkpoint").unlink()
    end = ".ATTRIBUTES/VARIABLE_VALUE"
    expected = {f"save_counter/{end}": np.array(1, np.int64)}
    for number, layer in enumerate(model.layers):
        expected[f"model/layers/{number}/kernel/{end}"] = layer.kernel.numpy()
        expected[f"model/layers/{number}/bias/{end}"] = layer.bias.numpy()
    return expected


def save_others(folder: pathlib.Path) -> None:
    """What is not a checkpoint, though it lies beside one."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as temporary:
        with tf.Graph().as_default() as graph, v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 2], name="input")
            weights = v1.get_variable("weights", initializer=numbers(2, 2), use_resource=False)
            tf.matmul(x, weights, name="output")
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, f"{temporary}/model.ckpt", global_step=7)
            shutil.copy(f"{temporary}/model.ckpt-7.meta", folder / "model.ckpt-7.meta")
            # The folder that TensorFlow writes into the file is a temporary one.
            (folder / "checkpoint").write_text((pathlib.Path(temporary) / "checkpoint").read_text().replace(f"{temporary}/", ""))
            frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["output"])
            (folder / "frozen.pb").write_bytes(frozen.SerializeToString(deterministic=True))
        tf.saved_model.save(Model(), f"{temporary}/saved")
        shutil.copy(f"{temporary}/saved/saved_model.pb", folder / "saved_model.pb")


def check(path: pathlib.Path, expected: dict[str, np.ndarray]) -> None:
    """TensorFlow reads the same, which shows that a table of ours is one of its tables."""
    for name, value in expected.items():
        found = tf.raw_ops.RestoreV2(prefix=str(path), tensor_names=[name], shape_and_slices=[""], dtypes=[value.dtype])
        np.testing.assert_array_equal(found[0].numpy(), value, err_msg=name)


shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir(parents=True)
rng = np.random.default_rng(0)
written = {
    "v1_slim": save_slim(FOLDER / "v1_slim.ckpt", v1.train.SaverDef.V1),
    "v1_types": save_types_v1(FOLDER / "v1_types.ckpt"),
    "v2_slim": save_slim(FOLDER / "v2_slim", v1.train.SaverDef.V2),
    "v2_types": save_types_v2(FOLDER / "v2_types"),
    "v2_objects": save_objects(FOLDER / "v2_objects"),
}
for name, expected in written.items():
    save_file(expected, FOLDER / f"{name}.safetensors")
    check(FOLDER / (f"{name}.ckpt" if name.startswith("v1") else name), expected)

write_table(FOLDER / "v1_snappy.ckpt", read_table(FOLDER / "v1_slim.ckpt"), 4096)
check(FOLDER / "v1_snappy.ckpt", written["v1_slim"])
write_table(FOLDER / "v2_snappy.index", read_table(FOLDER / "v2_types.index"), 256)
for shard in FOLDER.glob("v2_types.data-*"):
    shutil.copy(shard, FOLDER / shard.name.replace("types", "snappy"))
check(FOLDER / "v2_snappy", written["v2_types"])
save_others(FOLDER / "others")
for path in sorted(FOLDER.rglob("*")):
    if path.is_file():
        print(f"{path.stat().st_size:8} {path.relative_to(FOLDER)}")
