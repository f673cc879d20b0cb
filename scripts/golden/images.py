#!/usr/bin/env python3
"""Writes golden/images/: small JPEG and PNG files with the pixels that Pillow decodes and resizes them to.

Usage:  pip install numpy==2.4.6 pillow==12.3.0 && python scripts/golden/images.py [FOLDER]

Pillow 13.0 goes along the columns first in some resizes, which rounds and clips differently; every version
before it goes along the rows first, and so did the ones that published accuracies were measured with.

The tests in src/images/comparison.rs and src/crops/ read manifest.json, which also records the versions.
Nothing here is taken from incept: the crop offsets are torchvision's published formulas, TensorFlow 1's
bilinear resize is written out in numpy float32.
"""

import io
import json
import math
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageDraw, features

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "golden" / "images")


def scene(width, height, seed, noise=1.0):
    """Smooth saturated gradients, sharp coloured edges and a little noise: hard on chroma and on filters."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(3):
        across, down, phase = random.uniform(0.3, 3, 3)
        planes.append(127 + 110 * np.sin(x / width * across * 6 + y / height * down * 6 + phase))
    image = Image.fromarray(np.stack(planes, -1).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for index in range(10):
        colour = tuple(int(v) for v in random.integers(0, 256, 3))
        left, top, side = int(random.integers(0, width)), int(random.integers(0, height)), int(random.integers(4, 30))
        if index % 3 == 0:
            draw.ellipse([left, top, left + side, top + side], fill=colour)
        elif index % 3 == 1:
            draw.rectangle([left, top, left + side, top + side // 2], fill=colour)
        else:
            draw.line([left, top, left + side, top + 2 * side], fill=colour, width=2)
    pixels = np.asarray(image) + random.normal(0, noise, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def save(image, name):
    """PNG without loss, as small as Pillow makes it."""
    image.save(FOLDER / name, optimize=True)
    return name


def jpeg(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def png(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def png_rgb16(samples):
    """A 16-bit RGB PNG, which Pillow reads but does not write."""
    height, width, _ = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def as_ycck(cmyk_jpeg):
    """The same coded channels declared as YCCK: the transform byte of Adobe's segment becomes 2."""
    at = cmyk_jpeg.index(b"Adobe")
    assert cmyk_jpeg[at + 11] == 0, "expected a CMYK JPEG without transform"
    return cmyk_jpeg[: at + 11] + b"\x02" + cmyk_jpeg[at + 12 :]


def decode_cases():
    cases = {}
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        for quality in (50, 75, 95):
            cases[f"rgb_{name}_q{quality}.jpg"] = jpeg(scene(83, 57, quality + subsampling), quality=quality, subsampling=subsampling)
    cases["progressive_420_q85.jpg"] = jpeg(scene(83, 57, 5), quality=85, progressive=True)
    cases["restart_420_q85.jpg"] = jpeg(scene(83, 57, 6), quality=85, restart_marker_blocks=2)
    cases["kept_rgb_q90.jpg"] = jpeg(scene(40, 33, 7), quality=90, keep_rgb=True)
    cases["grey_q80.jpg"] = jpeg(scene(61, 40, 8).convert("L"), quality=80)
    cmyk = np.dstack([np.asarray(scene(61, 40, 9)), np.asarray(scene(61, 40, 10).convert("L"))])
    cmyk = jpeg(Image.fromarray(cmyk, "CMYK"), quality=90)
    cases["cmyk_q90.jpg"] = cmyk
    cases["ycck_q90.jpg"] = as_ycck(cmyk)
    for width, height in ((1, 1), (1, 17), (17, 1), (9, 8)):
        cases[f"odd_{width}x{height}.jpg"] = jpeg(scene(width, height, 11), quality=75)
    for value in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = value
        cases[f"exif_{value}.jpg"] = jpeg(scene(18, 11, 12, noise=0), quality=95, subsampling=0, exif=exif)
    rgb = scene(41, 29, 13)
    grey = rgb.convert("L")
    alpha = Image.fromarray((np.arange(41 * 29) % 256).astype(np.uint8).reshape(29, 41))
    cases["rgb.png"] = png(rgb)
    cases["rgb_named_wrongly.JPEG"] = png(rgb)
    cases["rgba.png"] = png(Image.merge("RGBA", (*rgb.split(), alpha)))
    cases["grey.png"] = png(grey)
    cases["grey_alpha.png"] = png(Image.merge("LA", (grey, alpha)))
    cases["black_white.png"] = png(grey.convert("1"))
    palette = rgb.quantize(40)
    cases["palette.png"] = png(palette)
    cases["palette_transparent.png"] = png(palette, transparency=3)
    cases["palette_4_bits.png"] = png(rgb.quantize(13), bits=4)
    random = np.random.default_rng(14)
    cases["rgb_16_bits.png"] = png_rgb16(random.integers(0, 65536, (13, 19, 3)))
    cases["grey_16_bits.png"] = png(Image.fromarray(random.integers(0, 65536, (13, 19)).astype(np.uint16)))
    return cases


def decoded(name, data):
    image = Image.open(io.BytesIO(data))
    if image.mode == "I;16":
        # Pillow's own conversion would make every value above 255 white: the upper byte instead.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def write_decoding():
    cases = []
    for name, data in decode_cases().items():
        (FOLDER / name).write_bytes(data)
        reference = save(decoded(name, data), f"{Path(name).stem}.decoded.png")
        case = {"file": name, "reference": reference}
        if name.startswith("exif_"):
            from PIL import ImageOps

            upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            case["upright"] = save(upright, f"{Path(name).stem}.upright.png")
        cases.append(case)
    return cases


FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def write_resizing(sources):
    cases = []
    targets = [  # source, width, height, box
        ("landscape", 75, 50, None),
        ("landscape", 48, 61, None),
        ("landscape", 203, 40, None),
        ("portrait", 66, 99, None),
        ("portrait", 150, 37, None),
        ("noise", 23, 23, None),
        ("noise", 61, 70, None),
        ("noise", 1, 1, None),
        ("landscape", 50, 50, (25, 0, 125, 100)),
        ("landscape", 40, 40, (10.25, 3.5, 93.75, 77.125)),
        ("noise", 30, 20, (7, 9, 11, 13)),
    ]
    for number, (source, width, height, box) in enumerate(targets):
        image = sources[source]
        for name, filter in FILTERS.items():
            resized = image.resize((width, height), filter, box=box)
            reference = save(resized, f"resize_{number:02}_{name}.png")
            cases.append(
                {"source": f"source_{source}.png", "filter": name, "width": width, "height": height, "box": box, "reference": reference}
            )
    return cases


def tf1_bilinear(pixels, width, height):
    """tf.image.resize_bilinear(align_corners=False, half_pixel_centers=False), in float32."""

    def taps(length, to):
        position = np.arange(to, dtype=np.float32) * (np.float32(length) / np.float32(to))
        lower = np.floor(position).astype(np.int64)
        return lower, np.minimum(lower + 1, length - 1), position - lower.astype(np.float32)

    pixels = pixels.astype(np.float32)
    above, below, down = taps(pixels.shape[0], height)
    west, east, right = taps(pixels.shape[1], width)
    right, down = right[None, :, None], down[:, None, None]
    upper = pixels[above][:, west] + (pixels[above][:, east] - pixels[above][:, west]) * right
    lower = pixels[below][:, west] + (pixels[below][:, east] - pixels[below][:, west]) * right
    return upper + (lower - upper) * down


def tf_slim_single(image, size):
    """tf.image.central_crop(0.875), stretched to size x size."""
    pixels = np.asarray(image)
    height, width, _ = pixels.shape
    top, left = int((height - height * 0.875) / 2), int((width - width * 0.875) / 2)
    values = tf1_bilinear(pixels[top : height - top, left : width - left], size, size)
    return Image.fromarray(np.floor(values + 0.5).astype(np.uint8))


def shorter_side(image, size):
    """torchvision.transforms.Resize(size, BICUBIC) of a PIL image."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new_long = int(size * long / short)
    new = (size, new_long) if width <= height else (new_long, size)
    return image.resize(new, Image.Resampling.BICUBIC)


def center_crop(image, size):
    """torchvision.transforms.functional.center_crop."""
    width, height = image.size
    top, left = int(round((height - size) / 2.0)), int(round((width - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def five_crop(image, size):
    """torchvision.transforms.functional.five_crop: corners in reading order, then the centre."""
    width, height = image.size
    boxes = [(x, y, x + size, y + size) for y in (0, height - size) for x in (0, width - size)]
    return [image.crop(box) for box in boxes] + [center_crop(image, size)]


def strip(images):
    return Image.fromarray(np.concatenate([np.asarray(image) for image in images], axis=1))


def write_crops(sources):
    size, cases = 40, []
    for source in ("landscape", "portrait", "square"):
        image = sources[source]
        single = center_crop(shorter_side(image, math.floor(size / 0.875)), size)
        five = five_crop(shorter_side(image, round(256 * size / 224)), size)
        mirrored = [crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for crop in five]
        cases.append(
            {
                "source": f"source_{source}.png",
                "size": size,
                "single": save(single, f"crop_{source}_single.png"),
                "tf_slim": save(tf_slim_single(image, size), f"crop_{source}_tf_slim.png"),
                "ten": save(strip(five + mirrored), f"crop_{source}_ten.png"),
            }
        )
    return cases


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(99)
    sources = {
        "landscape": scene(150, 100, 20),
        "portrait": scene(100, 151, 21),
        "square": scene(90, 90, 22),
        "noise": Image.fromarray(random.choice(np.array([0, 7, 128, 250, 255], np.uint8), (48, 48, 3))),
    }
    for name, image in sources.items():
        save(image, f"source_{name}.png")
    manifest = {
        "schema": "incept.golden-images/1",
        "made_by": "scripts/golden/images.py",
        "versions": {
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "libjpeg_turbo": features.version("libjpeg_turbo"),
        },
        "decoding": write_decoding(),
        "resizing": write_resizing(sources),
        "crops": write_crops(sources),
    }
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
