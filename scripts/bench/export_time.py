"""Wall time and peak memory of `incept export`, beside copying the same bytes and beside torch.onnx.export.

    python3 scripts/bench/export_time.py [--incept target/release/incept] [--network inception_v4] [--rounds 5]

Each command is a whole process, as a user would start it. The copy is `cp` and a `sync` of the file, as incept syncs what it writes.
torch.onnx.export runs where scripts/reference-environment.sh has been run. Standard library only.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def measure(command: list[str]) -> tuple[float, float]:
    """Runs a command; its wall time in seconds and the peak of its resident memory in MB."""
    started = time.perf_counter()
    process = os.spawnvp(os.P_NOWAIT, command[0], command)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    if status != 0:
        sys.exit(f"error: {' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Wall time and peak memory of incept export.")
    parser.add_argument("--incept", default=str(ROOT / "target/release/incept"))
    parser.add_argument("--network", default="inception_v4")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to write, on the disk to be measured (default: a temporary folder in target)")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()

    python = ROOT / ".runtime/reference/bin/python"
    (ROOT / "target").mkdir(exist_ok=True)
    folder = tempfile.mkdtemp(dir=arguments.folder or ROOT / "target", prefix="bench-")
    try:
        ours, copied, theirs = (os.path.join(folder, name) for name in ("incept.onnx", "copy.onnx", "torch.onnx"))
        commands = {
            "incept export": [arguments.incept, "export", arguments.network, "--seed", "0", "-o", ours],
            "cp and sync": ["sh", "-c", 'cp "$0" "$1" && sync "$1"', ours, copied],
        }
        if python.exists():
            commands["torch.onnx.export"] = [str(python), str(ROOT / "scripts/bench/reference.py"), arguments.network, theirs]
        samples: dict[str, list[tuple[float, float]]] = {title: [] for title in commands}
        for _ in range(arguments.rounds):
            for title, command in commands.items():
                for written in (ours, copied, theirs):
                    if written in command[-1] and os.path.exists(written):
                        os.remove(written)
                samples[title].append(measure(command))
        rows = {
            title: {
                "seconds": statistics.median(seconds for seconds, _ in sample),
                "fastest_seconds": min(seconds for seconds, _ in sample),
                "peak_memory_mb": max(memory for _, memory in sample),
            }
            for title, sample in samples.items()
        }
        size = os.path.getsize(ours)
    finally:
        shutil.rmtree(folder)

    print(f"{arguments.network}, {size / 1e6:.1f} MB, medians of {arguments.rounds} rounds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| | wall time | fastest | peak memory |")
    print("|---|---|---|---|")
    for title, row in rows.items():
        print(f"| {title} | {row['seconds']:.2f} s | {row['fastest_seconds']:.2f} s | {row['peak_memory_mb']:.0f} MB |")
    if arguments.json:
        document = {"schema": "incept.bench-export/1", "network": arguments.network, "bytes": size, "rows": rows}
        pathlib.Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
