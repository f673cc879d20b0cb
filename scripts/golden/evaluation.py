#!/usr/bin/env python3
"""Writes golden/evaluation/: a dataset of eleven small images, and what an evaluation of it by other programs gives.

    cargo build --release
    python3 -m venv VENV && VENV/bin/pip install numpy==2.4.6 pillow==12.3.0 onnxruntime==1.31.1
    VENV/bin/python scripts/golden/evaluation.py [--check] [--draw] [INCEPT]

INCEPT (target/release/incept) is asked for two networks as ONNX files and for nothing else. Decoding, resizing and cropping are
Pillow's, the models run in ONNX Runtime's own Python package, and the geometry of the crop plans is written out below, naively: every
crop of a plan is rendered and run, equal ones as often as they stand.

The plans, for a network of S pixels a side:
    1    the shorter side to floor(S / 0.875), the centre
    10   the shorter side to round(256 S / 224), corners and centre of the whole resized image, and their mirror images
    12   the same scale; its centre square: corners, centre, and the square itself resized to S; and their mirror images
    144  256, 288, 320 and 352 in the same proportion; left, centre and right (top, centre and bottom) squares; of each what 12 has
Where a length comes out between two pixels: the longer side is floor(scale * longer / shorter), a centre's offset is Python's
round((outer - inner) / 2), which is how torchvision's Resize, CenterCrop and FiveCrop do it. Resizes are Pillow's bicubic; the
whole square is cut out first, then resized, so that nothing from beyond it comes in.

Seeded networks hardly tell one image from another, and call them all by the same class. So their logits are multiplied by `logits_factor`,
a power of two, which is exactly what multiplying the last layer's weights gives, and `logits_bias` is added, which spreads the images over the
classes. The tests change the last layer's weights and bias (zero in a seeded network) instead.

Without --draw the images stay as they are: another build of Pillow may encode them otherwise. With --check nothing is written; expected.json
is computed anew and compared with the one there. tests/eval.rs reads expected.json.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
import onnxruntime
import PIL
from PIL import Image, ImageDraw, features

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "golden" / "evaluation"
SIZE = 75
CLASSES = 8
MODELS = [
    {
        "network": "inception_resnet_v1",
        "width": 0.1,
        "seed": 3,
        "logits_factor": 16,
        "logits_bias": [0.84, 1.68, -2.17, -1.7, 3.36, 3.95, -0.7, -0.06],
    },
    {
        "network": "inception_v4",
        "width": 0.1,
        "seed": 4,
        "logits_factor": 512,
        "logits_bias": [0.98, -2.29, -1.48, 3.27, -2.39, -2.18, 5.22, -3.39],
    },
]
# Class folder, file name, width, height, mode, options of the encoder. Wide, tall and square, odd and even, smaller and larger than the scales.
# The folders are chosen so that each plan, each model and both together make other errors: a mistake in any of them shows in the counts.
IMAGES = [
    ("class_5", "landscape.jpg", 161, 118, "RGB", {"quality": 85}),
    ("class_2", "portrait.jpg", 117, 170, "RGB", {"quality": 75, "subsampling": 0}),
    ("class_3", "square.jpg", 128, 128, "RGB", {"quality": 90}),
    ("class_6", "grey.jpg", 140, 111, "L", {"quality": 85}),
    ("class_4", "cmyk.jpg", 120, 131, "CMYK", {"quality": 85}),
    ("class_0", "png_inside.JPEG", 101, 135, "RGB", {}),
    ("class_7", "panorama.jpeg", 241, 90, "RGB", {"quality": 85, "progressive": True}),
    ("class_5", "tower.JPG", 60, 199, "RGB", {"quality": 85}),
    ("class_1", "small_with_alpha.png", 47, 62, "RGBA", {}),
    ("class_2", "square_of_few_colours.png", 96, 96, "P", {}),
    ("class_7", "lying.jpg", 150, 106, "RGB", {"quality": 85, "exif": 6}),
]
SCALES_AT_224 = (256, 288, 320, 352)
# Ranks are compared exactly: no other class may come nearer to the label's probability than rounding could explain.
LEAST_MARGIN = 2e-4


def drawing(width: int, height: int, seed: int) -> Image.Image:
    """A tinted gradient with shapes, the left half unlike the right one, so that a mirror image is another image."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    tint, waves = random.uniform(40, 215, 3), random.uniform(1, 9, (3, 2))
    planes = [tint[c] + 70 * np.sin(x / width * waves[c, 0] + y / height * waves[c, 1] + c) for c in range(3)]
    image = Image.fromarray(np.stack(planes, -1).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for index in range(7):
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        left, top, side = (int(random.integers(low, high)) for low, high in ((0, width), (0, height), (10, 45)))
        shape = (draw.ellipse, draw.rectangle)[index % 2]
        shape([left, top, left + side, top + side * 2 // 3], fill=colour)
    return image


def write_images() -> None:
    for number, (folder, name, width, height, mode, options) in enumerate(IMAGES):
        image, options = drawing(width, height, 100 + number), dict(options)
        if mode == "CMYK":
            black = drawing(width, height, 200 + number).convert("L").point(lambda value: value // 2)
            image = Image.merge("CMYK", (*image.split(), black))
        elif mode == "RGBA":
            image = Image.merge("RGBA", (*image.split(), drawing(width, height, 200 + number).convert("L")))
        elif mode == "P":
            image = image.quantize(30)
        else:
            image = image.convert(mode)
        if "exif" in options:
            exif = Image.Exif()
            exif[0x0112] = options["exif"]  # left alone by a conversion to RGB, and so by us
            options["exif"] = exif
        path = FOLDER / "images" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        png = name.endswith(".png") or name == "png_inside.JPEG"
        image.save(path, "PNG" if png else "JPEG", **(options | {"optimize": True}))


def half(space: int) -> int:
    return int(round(space / 2))


def resized(image: Image.Image, shorter: int) -> Image.Image:
    width, height = image.size
    if width <= height:
        size = (shorter, shorter * height // width)
    else:
        size = (shorter * width // height, shorter)
    return image.resize(size, Image.Resampling.BICUBIC)


def five_boxes(width: int, height: int, size: int) -> list[tuple[int, int]]:
    """Where the four corners and the centre of an area of this size begin."""
    right, lower = width - size, height - size
    return [(0, 0), (right, 0), (0, lower), (right, lower), (half(right), half(lower))]


def squares(width: int, height: int) -> list[tuple[int, int]]:
    """Where the left, centre and right, or top, centre and bottom, squares begin."""
    side = min(width, height)
    return [(0, 0), (half(width - side), half(height - side)), (width - side, height - side)]


# Where a crop is from, so that equal ones can be counted: scale, box in the resized image, mirrored.
Place = tuple[int, tuple[int, int, int, int], bool]


def upright_crops(plan: str, image: Image.Image, size: int) -> Iterator[tuple[Place, Image.Image]]:
    scales = [(2 * scale * size + 224) // 448 for scale in SCALES_AT_224]  # rounded, halves up

    def cut(scale: int, source: Image.Image, left: int, top: int, side: int) -> tuple[Place, Image.Image]:
        box = (left, top, left + side, top + side)
        crop = source.crop(box)
        return (scale, box, False), crop if side == size else crop.resize((size, size), Image.Resampling.BICUBIC)

    if plan == "1":
        scale = size * 8 // 7  # 0.875 is 7/8
        source = resized(image, scale)
        yield cut(scale, source, half(source.width - size), half(source.height - size), size)
    elif plan == "10":
        source = resized(image, scales[0])
        for left, top in five_boxes(*source.size, size):
            yield cut(scales[0], source, left, top, size)
    else:
        for scale in scales[:1] if plan == "12" else scales:
            source = resized(image, scale)
            starts = squares(*source.size)
            for left, top in starts[1:2] if plan == "12" else starts:
                for x, y in five_boxes(scale, scale, size):
                    yield cut(scale, source, left + x, top + y, size)
                yield cut(scale, source, left, top, scale)


def crops(plan: str, image: Image.Image, size: int) -> list[tuple[Place, np.ndarray]]:
    every = []
    for place, crop in upright_crops(plan, image, size):
        assert crop.size == (size, size), (plan, image.size, place, crop.size)
        pixels = np.asarray(crop)
        every.append((place, pixels))
        if plan != "1":
            every.append(((*place[:2], True), pixels[:, ::-1]))
    assert len(every) == int(plan)
    return every


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def summary(labels: list[int], probabilities: np.ndarray) -> dict:
    order = np.argsort(-probabilities, axis=1)
    ranks = [int(np.nonzero(row == label)[0][0]) for row, label in zip(order, labels)]
    for row, label in zip(probabilities, labels):
        margin = np.abs(np.delete(row, label) - row[label]).min()
        assert margin > LEAST_MARGIN, f"a rank that rounding could change: {label} of {row}"
    return {
        "top1_errors": sum(rank >= 1 for rank in ranks),
        "top5_errors": sum(rank >= 5 for rank in ranks),
        "ranks": ranks,
        "probabilities": probabilities.round(9).tolist(),
    }


def evaluation(incept: pathlib.Path) -> dict:
    files = sorted((FOLDER / "images").glob("*/*"))  # paths sort by folder, then by name
    labels = [int(path.parent.name.removeprefix("class_")) for path in files]
    images = [Image.open(path).convert("RGB") for path in files]
    sessions = []
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            path = pathlib.Path(folder) / "model.onnx"
            options = {"--width": model["width"], "--seed": model["seed"], "--image-size": SIZE, "--classes": CLASSES}
            arguments = [str(word) for option in options.items() for word in option]
            subprocess.run([incept, "export", model["network"], *arguments, "-o", path], check=True, capture_output=True)
            sessions.append(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))
    plans = {}
    for plan in ("1", "10", "12", "144"):
        averages = [np.zeros((len(images), CLASSES)) for _ in MODELS]
        distinct = 0
        for number, image in enumerate(images):
            rendered = crops(plan, image, SIZE)
            distinct += len({place for place, _ in rendered})
            batch = np.stack([pixels for _, pixels in rendered]).astype(np.float32) / np.float32(127.5) - np.float32(1)
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
            for model, session, average in zip(MODELS, sessions, averages):
                (logits,) = session.run(None, {"image": batch})
                average[number] = softmax(logits.astype(np.float64) * model["logits_factor"] + model["logits_bias"]).mean(axis=0)
        plans[plan] = {
            "crops_computed": distinct,
            "models": [summary(labels, average) for average in averages],
            "ensemble": summary(labels, sum(averages) / len(averages)),
        }
    return {
        "schema": "incept.golden-evaluation/1",
        "made_by": "scripts/golden/evaluation.py",
        "versions": {
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
            "pillow": PIL.__version__,
            "libjpeg_turbo": features.version("libjpeg_turbo"),
        },
        "image_size": SIZE,
        "classes": CLASSES,
        "models": MODELS,
        "images": [
            {
                "name": f"{path.parent.name}/{path.name}",
                "label": label,
                "size": list(image.size),
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path, label, image in zip(files, labels, images)
        ],
        "plans": plans,
    }


def text(found: dict) -> str:
    """JSON with a line for each list of numbers."""
    rows: list[str] = []

    def folded(value: object) -> object:
        if isinstance(value, dict):
            return {key: folded(item) for key, item in value.items()}
        if isinstance(value, list) and value and not isinstance(value[0], list | dict):
            rows.append(json.dumps(value))
            return f"row {len(rows) - 1}"
        return [folded(item) for item in value] if isinstance(value, list) else value

    lines = json.dumps(folded(found), indent=1)
    for number, row in enumerate(rows):
        lines = lines.replace(f'"row {number}"', row)
    return lines + "\n"


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int | float):
        yield float(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("incept", nargs="?", type=pathlib.Path, default=FOLDER.parents[1] / "target" / "release" / "incept")
    parser.add_argument("--draw", action="store_true", help="draw the images anew")
    parser.add_argument("--check", action="store_true", help="compare with expected.json instead of writing it")
    arguments = parser.parse_args()
    if int(PIL.__version__.split(".")[0]) >= 13:
        sys.exit("error: Pillow 13 goes along the columns first in some resizes: install pillow==12.3.0")
    if arguments.draw:
        write_images()
    found, path = evaluation(arguments.incept), FOLDER / "expected.json"
    if arguments.check:
        stored = list(numbers(json.loads(path.read_text())["plans"]))
        computed = list(numbers(found["plans"]))
        assert len(stored) == len(computed), "another number of values"
        worst = max(abs(a - b) for a, b in zip(stored, computed))
        print(f"{len(computed)} numbers, largest difference {worst:.1e}")
        sys.exit(worst > 1e-6)
    path.write_text(text(found))
    for name, plan in found["plans"].items():
        counts = [(entry["top1_errors"], entry["top5_errors"]) for entry in (*plan["models"], plan["ensemble"])]
        print(f"{name:>4} crops, {plan['crops_computed']} computed; top-1 and top-5 errors of each model and of both: {counts}")


if __name__ == "__main__":
    main()
