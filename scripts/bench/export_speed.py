"""Wall time and peak memory of an export, beside copying the weights and beside a whole Python process that does torch.onnx.export.

    python3 scripts/bench/export_speed.py [--incept target/release/incept] [--weights FILE] [--rounds 9]

Each command is a whole process, as a user would start it, and all of them run in alternation in one run; the caches are warm. Without
--weights, Inception-v4's are made (float32 safetensors of 171 MB, under incept's names); with it, any file that `incept export
inception_v4 --weights` takes, a timm checkpoint for instance. `cp` does not wait for the disk and incept does: so the copy is also timed
with a `sync` of the file behind it, and incept's files also go to a folder in memory, where waiting costs nothing. torch.onnx.export runs
where scripts/reference-environment.sh has been run. Standard library only.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def measure(command: list[str]) -> tuple[float, float]:
    """Runs a command; its wall time in seconds and the peak of its resident memory in MB."""
    started = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    if status != 0:
        sys.exit(f"error: {' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_maxrss / 1024


def make_weights(incept: str, folder: str) -> str:
    """A safetensors file with every tensor of Inception-v4, values drawn from a seed, written without any library."""
    import random

    info = json.loads(subprocess.run([incept, "info", "inception_v4", "--json"], check=True, capture_output=True).stdout)
    header, offset = {}, 0
    for tensor in sorted(info["tensors"], key=lambda tensor: tensor["name"]):
        size = 4
        for dimension in tensor["shape"]:
            size *= dimension
        header[tensor["name"]] = {"dtype": "F32", "shape": tensor["shape"], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = os.path.join(folder, "weights.safetensors")
    block = bytearray(random.Random(0).randbytes(1 << 20))
    # The high byte of each number: values between 2^-16 and 2^-14, none of them NaN, all variances positive.
    block[3::4] = b"\x38" * (len(block) // 4)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        written = 0
        while written < offset:
            written += file.write(block[: offset - written])
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Wall time and peak memory of an export beside cp and torch.onnx.export.")
    parser.add_argument("--incept", default=str(ROOT / "target/release/incept"))
    parser.add_argument("--weights", help="weights of Inception-v4 (default: made for the run)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--torch-rounds", type=int, default=3, help="rounds that torch.onnx.export takes part in")
    parser.add_argument("--folder", help="where to write, on the disk to be measured (default: a temporary folder in target)")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()

    python = ROOT / ".runtime/reference/bin/python"
    (ROOT / "target").mkdir(exist_ok=True)
    folder = tempfile.mkdtemp(dir=arguments.folder or ROOT / "target", prefix="bench-")
    memory = tempfile.mkdtemp(dir="/dev/shm", prefix="bench-") if os.path.isdir("/dev/shm") else None
    try:
        weights = arguments.weights or make_weights(arguments.incept, folder)
        path = lambda name: os.path.join(folder, name)
        export = [arguments.incept, "export", "inception_v4", "--weights", weights]
        commands = {
            "cp": ["cp", weights, path("copy")],
            "cp and sync": ["sh", "-c", 'cp "$0" "$1" && sync "$1"', weights, path("copy-synced")],
            "incept export": [*export, "-o", path("model.onnx")],
            "incept export --precision fp16": [*export, "--precision", "fp16", "-o", path("half.onnx")],
            "incept export --manifest": [*export, f"--manifest={path('manifest.json')}", "-o", path("with.onnx")],
        }
        if memory:
            commands["cp, to memory"] = ["cp", weights, os.path.join(memory, "copy")]
            commands["incept export, to memory"] = [*export, "-o", os.path.join(memory, "model.onnx")]
        torch = "torch.onnx.export"
        if python.exists():
            commands[torch] = [str(python), str(ROOT / "scripts/bench/reference.py"), "inception_v4", path("torch.onnx")]
        samples: dict[str, list[tuple[float, float]]] = {title: [] for title in commands}
        for number in range(arguments.rounds + 1):
            for title, command in commands.items():
                if title == torch and not 0 < number <= arguments.torch_rounds:
                    continue
                for written in os.scandir(folder), *([os.scandir(memory)] if memory else []):
                    for file in written:
                        if file.path != weights:
                            os.remove(file.path)
                # What others left to be written would be waited for.
                os.sync()
                sample = measure(command)
                # The first round warms the caches.
                if number > 0:
                    samples[title].append(sample)
        size = os.path.getsize(weights)
    finally:
        shutil.rmtree(folder)
        if memory:
            shutil.rmtree(memory)

    rows = {
        title: {
            "seconds": statistics.median(seconds for seconds, _ in sample),
            "fastest_seconds": min(seconds for seconds, _ in sample),
            "peak_memory_mb": max(peak for _, peak in sample),
            "peak_memory_of_weights": max(peak for _, peak in sample) * 2**20 / size,
        }
        for title, sample in samples.items()
    }
    ratios = {
        title: statistics.median(ours / copied for (ours, _), (copied, _) in zip(sample, samples["cp"]))
        for title, sample in samples.items()
    }
    print(
        f"Inception-v4, weights of {size / 1e6:.1f} MB, medians of {arguments.rounds} rounds in alternation; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
    print("| | wall time | fastest | times cp | peak memory | of the weights' size |")
    print("|---|---|---|---|---|---|")
    for title, row in rows.items():
        print(
            f"| {title} | {row['seconds']:.3f} s | {row['fastest_seconds']:.3f} s | {ratios[title]:.1f} "
            f"| {row['peak_memory_mb']:.0f} MB | {row['peak_memory_of_weights']:.2f} |"
        )
    if arguments.json:
        document = {"schema": "incept.bench-export-speed/1", "bytes": size, "rows": rows, "times_cp": ratios}
        pathlib.Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
