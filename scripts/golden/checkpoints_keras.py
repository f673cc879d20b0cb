"""Golden weight files as Keras and h5py write them, for the reader of HDF5.

    python3 -m venv /tmp/keras
    /tmp/keras/bin/pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0 keras==3.15.1 h5py==3.14.0 safetensors==0.8.0
    /tmp/keras/bin/python scripts/golden/checkpoints_keras.py

golden/checkpoints/keras/NAME.{h5,weights.h5,keras} is written by Keras 2 (tf_keras), Keras 3 or h5py. NAME.safetensors beside it is
written by the safetensors package, and has what a reader must find: the tensors under the names it must give them, taken from the model
or the array in memory and never from the file. The entry `expected` of its metadata is JSON: `order` has the names of the layers'
weights in the layers' order, `left_out` the paths of datasets that hold no weights.

golden/checkpoints/keras/refused/NAME.h5 must be refused.
"""

import json
import os
import pathlib
import shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import h5py
import keras
import ml_dtypes
import numpy as np
import tf_keras
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "golden/checkpoints/keras"
RNG = np.random.default_rng(1602)


def expect(name: str, tensors: dict, order: list[str] = (), left_out: list[str] = ()) -> None:
    """Writes what a reader must find in the file of that name."""
    tensors = {key: np.array(value, order="C") for key, value in tensors.items()}
    # One entry: the package writes several in any order.
    metadata = json.dumps({"order": list(order), "left_out": list(left_out)})
    save_file(tensors, FOLDER / f"{name}.safetensors", {"expected": metadata})


def network(library):
    """Two branches and a classifier. Most layers have the names that Keras counts up, the last one its own."""
    layers = library.layers
    library.backend.clear_session()
    image = library.Input((8, 8, 3))
    left = layers.Conv2D(4, 1, use_bias=False)(image)
    # Made before the second layer of the first branch and behind it in the model's order: counted names are not the order.
    right = layers.Conv2D(2, (1, 3), padding="same", use_bias=False)(image)
    left = layers.Conv2D(3, (3, 1), padding="same", use_bias=False)(left)
    left = layers.BatchNormalization(scale=False)(left)
    both = layers.Concatenate()([left, right])
    both = layers.BatchNormalization(name="conv_7b_bn")(both)
    features = layers.GlobalAveragePooling2D()(both)
    return library.Model(image, layers.Dense(6, name="predictions")(features))


def randomise(model) -> None:
    """Gives every weight values of its own, the variances positive ones."""
    for layer in model.layers:
        layer.set_weights([np.abs(RNG.standard_normal(w.shape, np.float32)) + 0.5 for w in layer.get_weights()])


def legacy(model, prefix: str = "", colon: str = ":0") -> tuple[dict, list[str]]:
    """The names of `save_weights("x.h5")`: layer, layer, variable. Also their order."""
    tensors = {}
    for layer in model.layers:
        names = [w.name.split("/")[-1].removesuffix(":0") for w in layer.weights]
        for name, value in zip(names, layer.get_weights(), strict=True):
            tensors[f"{prefix}{layer.name}/{layer.name}/{name}{colon}"] = value
    return tensors, list(tensors)


def keras_2() -> None:
    model = network(tf_keras)
    randomise(model)
    model.save_weights(FOLDER / "keras2_weights.h5", save_format="h5")
    expect("keras2_weights", *legacy(model))

    model.compile(optimizer="sgd", loss="mse")
    model.fit(np.ones((1, 8, 8, 3), np.float32), np.ones((1, 6), np.float32), verbose=0)
    model.save(FOLDER / "keras2_model.h5", save_format="h5")
    tensors, order = legacy(model)
    for variable in model.optimizer.variables:
        tensors[f"optimizer_weights/{variable.name}"] = variable.numpy()
    expect("keras2_model", tensors, order)

    # Lists longer than an attribute may be are cut into `layer_names0`, `layer_names1`, …; here with another limit.
    model = network(tf_keras)
    randomise(model)
    module = tf_keras.src.saving.legacy.hdf5_format
    limit, module.HDF5_OBJECT_HEADER_LIMIT = module.HDF5_OBJECT_HEADER_LIMIT, 100
    model.save_weights(FOLDER / "keras2_long_names.h5", save_format="h5")
    module.HDF5_OBJECT_HEADER_LIMIT = limit
    expect("keras2_long_names", *legacy(model))

    model = network(tf_keras)
    randomise(model)
    model.save(FOLDER / "keras2.keras")
    tensors, counts = {}, {}
    for layer in model.layers:
        kind = {"Conv2D": "conv2d", "BatchNormalization": "batch_normalization", "Dense": "dense"}.get(type(layer).__name__)
        if kind:
            number = counts[kind] = counts.get(kind, -1) + 1
            group = kind if number == 0 else f"{kind}_{number}"
            for index, value in enumerate(layer.get_weights()):
                tensors[f"layers/{group}/vars/{index}"] = value
    expect("keras2_archive", tensors)
    (FOLDER / "keras2.keras").rename(FOLDER / "keras2_archive.keras")


def keras_3() -> None:
    model = network(keras)
    randomise(model)
    model.compile(optimizer="adam", loss="mse")
    model.fit(np.ones((1, 8, 8, 3), np.float32), np.ones((1, 6), np.float32), verbose=0)
    tensors = {f"{layer.name}/{i}": w for layer in model.layers for i, w in enumerate(layer.get_weights())}
    optimizer = {f"optimizer/vars/{i}": v.numpy() for i, v in enumerate(model.optimizer.variables)}

    model.save_weights(FOLDER / "keras3.weights.h5")
    expect("keras3", tensors | optimizer)

    model.compile(optimizer="sgd", loss="mse")
    optimizer = {f"optimizer/vars/{i}": v.numpy() for i, v in enumerate(model.optimizer.variables)}
    model.save(FOLDER / "keras3_archive.keras")
    expect("keras3_archive", tensors | optimizer)
    model.save(FOLDER / "keras3_model.h5")
    tensors, order = legacy(model, colon="")
    for variable in model.optimizer.variables:
        tensors[f"optimizer_weights/{variable.path}"] = variable.numpy()
    expect("keras3_model", tensors, order)

    keras.backend.clear_session()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, dtype="bfloat16")])
    values = [np.array([[1, -2, 0.5], [3, 1e30, 0]]), np.array([0.25, -0.125, 96])]
    model.layers[0].set_weights(values)
    model.save_weights(FOLDER / "keras3_bfloat16.weights.h5")
    stored = [keras.ops.convert_to_numpy(w) for w in model.layers[0].weights]
    assert all(array.dtype.name == "bfloat16" for array in stored)
    expect("keras3_bfloat16", {f"dense/{i}": array for i, array in enumerate(stored)})


def numbers(shape: tuple[int, ...], kind: str = "<f4") -> np.ndarray:
    values = RNG.standard_normal(shape) * 8
    return values.astype(kind)


def element_types() -> None:
    kinds = ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "|i1", "|u1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8"]
    tensors = {}
    with h5py.File(FOLDER / "types.h5", "w", track_order=False) as file:
        for kind in kinds:
            name = {"<": "little", ">": "big", "|": "byte"}[kind[0]] + "/" + kind[1:]
            array = numbers((3, 5), kind)
            file[name] = array
            tensors[name] = array.astype(kind.replace(">", "<"))
        file["bool"] = tensors["bool"] = RNG.standard_normal((2, 3)) > 0
        file["scalar"] = tensors["scalar"] = np.float32(2.5)
        file["nothing"] = tensors["nothing"] = np.zeros((0, 4), np.float32)
        # A type of HDF5 itself: bfloat16 as a floating-point type.
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_size(2)
        kind.set_ebias(127)
        array = np.array([1, -2, 0], ml_dtypes.bfloat16)
        space = h5py.h5s.create_simple((3,))
        dataset = h5py.h5d.create(file.id, b"bfloat16", kind, space)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array.view(np.uint16), mtype=kind)
        tensors["bfloat16"] = array
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        array = numbers((2, 2))
        dataset = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((2, 2)), compact)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
        tensors["compact"] = array
        left_out = ["complex", "text", "unsigned"]
        file["text"] = "no weights"
        file["unsigned"] = np.arange(3, dtype=np.uint32)
        file["complex"] = np.zeros(2, np.complex64)
    return tensors, left_out


def packed(file: h5py.File, tensors: dict) -> None:
    """Chunks in every way that h5py packs them without plugins; sizes that the chunks do not divide."""
    ways = {
        "chunked": {},
        "deflate": {"compression": "gzip"},
        "shuffle": {"shuffle": True},
        "fletcher32": {"fletcher32": True},
        "all": {"compression": "gzip", "compression_opts": 9, "shuffle": True, "fletcher32": True},
    }
    for name, options in ways.items():
        for kind in ("<f4", ">f2"):
            array = numbers((7, 5, 3), kind)
            full = f"{name}/{kind[1:]}"
            file.create_dataset(full, data=array, chunks=(3, 2, 3), **options)
            tensors[full] = array.astype(kind.replace(">", "<"))
    # Never written: the library fills it with the value that was set for that.
    file.create_dataset("unwritten/chunked", (4, 3), "<f4", chunks=(2, 2), fillvalue=1.5)
    file.create_dataset("unwritten/contiguous", (4, 3), "<f4", fillvalue=-2)
    tensors["unwritten/chunked"] = np.full((4, 3), 1.5, np.float32)
    tensors["unwritten/contiguous"] = np.full((4, 3), -2, np.float32)
    partly = file.create_dataset("unwritten/partly", (4, 3), "<f4", chunks=(2, 2), fillvalue=9)
    partly[0, 0] = 4
    tensors["unwritten/partly"] = np.full((4, 3), 9, np.float32)
    tensors["unwritten/partly"][0, 0] = 4


def newest(file: h5py.File, tensors: dict) -> None:
    """What the newest version of the format has in place of symbol tables and B-trees of the first kind."""
    for way, shape, options in [
        ("single", (6, 5), {"chunks": (6, 5), "compression": "gzip"}),
        ("fixed", (9, 5), {"chunks": (2, 2)}),
        ("fixed_packed", (9, 5), {"chunks": (2, 2), "compression": "gzip", "shuffle": True}),
        ("extensible", (9, 5), {"chunks": (2, 2), "maxshape": (None, 5)}),
        ("tree", (9, 5), {"chunks": (2, 2), "maxshape": (None, None), "fletcher32": True}),
    ]:
        array = numbers(shape)
        file.create_dataset(f"chunks/{way}", data=array, **options)
        tensors[f"chunks/{way}"] = array
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_chunk((2, 2))
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    array = numbers((5, 4))
    space = h5py.h5s.create_simple((5, 4))
    dataset = h5py.h5d.create(file["chunks"].id, b"implicit", h5py.h5t.IEEE_F32LE, space, early)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
    tensors["chunks/implicit"] = array
    # More links than a header holds, and more attributes.
    array = numbers((2,))
    one = file.create_dataset("one", data=array)
    tensors["one"] = array
    for number in range(40):
        file[f"many/{number}"] = one
        tensors[f"many/{number}"] = array


def h5py_files() -> None:
    tensors, left_out = element_types()
    expect("types", tensors, left_out=left_out)

    tensors = {}
    with h5py.File(FOLDER / "packed.h5", "w") as file:
        packed(file, tensors)
    expect("packed", tensors)

    tensors = {}
    with h5py.File(FOLDER / "newest.h5", "w", libver="latest") as file:
        newest(file, tensors)
        # Keras's lists among more attributes than a header holds.
        layer = file.create_group("dense")
        layer["kernel:0"] = tensors["dense/kernel:0"] = numbers((3, 2))
        for number in range(12):
            layer.attrs[f"other{number}"] = number
        layer.attrs["weight_names"] = ["kernel:0"]
        file.attrs["layer_names"] = [b"dense"]
    expect("newest", tensors, ["dense/kernel:0"])

    # A symbol table whose B-tree has nodes of nodes: a node has at most 32 below it, and those at most 8 links.
    tensors = {}
    array = numbers((2,))
    with h5py.File(FOLDER / "many_links.h5", "w") as file:
        one = file.create_dataset("one", data=array)
        tensors["one"] = array
        for number in range(300):
            file[f"links/{number}"] = one
    tensors |= {f"links/{number}": array for number in range(300)}
    expect("many_links", tensors)

    tensors = {"kernel": numbers((3, 2)), "packed": numbers((3, 2))}
    with h5py.File(FOLDER / "user_block.h5", "w", userblock_size=1024) as file:
        file["kernel"] = tensors["kernel"]
        file.create_dataset("packed", data=tensors["packed"], chunks=(2, 2))
    with open(FOLDER / "user_block.h5", "r+b") as file:
        file.write(b"something else entirely")
    expect("user_block", tensors)

    # Superblock of version 2 and 3, with and without what came later.
    for name, versions in {"version_108": ("v108", "v108"), "version_110": ("v110", "v110")}.items():
        tensors = {"group/kernel": numbers((3, 2)), "group/packed": numbers((5, 3))}
        with h5py.File(FOLDER / f"{name}.h5", "w", libver=versions) as file:
            file["group/kernel"] = tensors["group/kernel"]
            file.create_dataset("group/packed", data=tensors["group/packed"], chunks=(2, 2), compression="gzip")
        expect(name, tensors)


def refused() -> None:
    folder = FOLDER / "refused"
    folder.mkdir()
    for version in ("earliest", "latest"):
        with h5py.File(folder / f"soft_link_{version}.h5", "w", libver=version) as file:
            file["kernel"] = numbers((2, 2))
            file["again"] = h5py.SoftLink("/kernel")
        with h5py.File(folder / f"external_link_{version}.h5", "w", libver=version) as file:
            file["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/kernel")
        with h5py.File(folder / f"cycle_{version}.h5", "w", libver=version) as file:
            inner = file.create_group("a/b")
            inner["again"] = file["a"]
    with h5py.File(folder / "external_data.h5", "w") as file:
        file.create_dataset("kernel", (2, 2), "<f4", external=[("../keras2_weights.h5", 0, 16)])
    layout = h5py.VirtualLayout((2, 2), "<f4")
    layout[:] = h5py.VirtualSource("../keras2_weights.h5", "kernel", (2, 2))
    with h5py.File(folder / "virtual.h5", "w", libver="latest") as file:
        file.create_virtual_dataset("kernel", layout)
    with h5py.File(folder / "lzf.h5", "w") as file:
        file.create_dataset("kernel", data=np.zeros((64, 64), np.float32), compression="lzf")
    with h5py.File(folder / "bomb.h5", "w") as file:
        file.create_dataset("kernel", (1 << 20, 1 << 12), "<f4", chunks=(1 << 10, 1 << 10), compression="gzip")
    with h5py.File(folder / "layer_missing.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv2d", b"dense"]
        file.create_group("conv2d").attrs["weight_names"] = []
    with h5py.File(folder / "weight_missing.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").attrs["weight_names"] = [b"dense/kernel:0"]


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    keras_2()
    keras_3()
    h5py_files()
    refused()
    for path in sorted(FOLDER.rglob("*")):
        print(f"{path.stat().st_size:8} {path.relative_to(FOLDER)}")


main()
