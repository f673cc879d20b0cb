"""ONNX Runtime on incept's file of a network beside torch.onnx.export's file of the same network, in one process.

    target/release/incept export inception_v4 --seed 0 -o v4.onnx
    .runtime/reference/bin/python scripts/bench/onnxruntime_speed.py v4.onnx [--network NAME] [--published] [--json FILE]

Both sessions are alive at the same time and take turns, each being first in every second round, so that whatever else the
machine does meets both alike. What counts is the ratio of the medians: below 1, incept's file is the faster one. The table also gives the
middle half of the ratios of single rounds: where it is wide, the machine was busy. CPU, float32, all graph optimisations.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import tempfile
import time

import numpy as np
import onnxruntime
import reference


def session(path: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Or the idle session's threads would spin while the other one works.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(paths: tuple[str, str], batch: int, threads: int, size: int, seconds: float, least: int) -> dict[str, float]:
    image = np.random.default_rng(0).uniform(-1, 1, (batch, 3, size, size)).astype(np.float32)
    sessions = [session(path, threads) for path in paths]
    feeds = [{one.get_inputs()[0].name: image} for one in sessions]
    outputs = [one.get_outputs()[0].name for one in sessions]
    results = [one.run([output], feed)[0] for one, output, feed in zip(sessions, outputs, feeds)]
    times: list[list[float]] = [[], []]
    started = time.perf_counter()
    while len(times[0]) < least or time.perf_counter() - started < seconds:
        for turn in (0, 1) if len(times[0]) % 2 == 0 else (1, 0):
            before = time.perf_counter()
            sessions[turn].run([outputs[turn]], feeds[turn])
            times[turn].append(time.perf_counter() - before)
    ratios = statistics.quantiles([ours / theirs for ours, theirs in zip(*times)], n=4)
    ours, theirs = (statistics.median(one) for one in times)
    return {
        "batch": batch,
        "threads": threads,
        "rounds": len(times[0]),
        "incept_ms_per_image": ours / batch * 1e3,
        "torch_export_ms_per_image": theirs / batch * 1e3,
        "ratio_of_medians": ours / theirs,
        "ratio_quartiles": [ratios[0], ratios[2]],
        "largest_difference": float(np.abs(results[0] - results[1]).max()),
        "largest_value": float(np.abs(results[1]).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="ONNX Runtime time of incept's file beside torch.onnx.export's.")
    parser.add_argument("model", metavar="MODEL.onnx", help="what incept wrote, with a dynamic batch")
    parser.add_argument("--network", default="inception_v4", choices=list(reference.networks.NETWORKS))
    parser.add_argument("--published", action="store_true", help="compare with timm's own inception_v4 instead of the paper's")
    parser.add_argument("--image-size", type=int, default=299)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, min(2, os.cpu_count() or 1)}))
    parser.add_argument("--seconds", type=float, default=45, help="for each row (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="at least, for each row (default %(default)s)")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        theirs = os.path.join(folder, "torch.onnx")
        reference.export(reference.build(arguments.network, arguments.published), theirs, arguments.image_size, opset=17)
        print(f"{arguments.network} at {arguments.image_size}, onnxruntime {onnxruntime.__version__}, {platform.processor() or platform.machine()}")
        print(f"load before the run: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        print("| batch | threads | incept, ms per image | torch.onnx.export, ms per image | ratio of medians | middle half of ratios | rounds | largest difference of outputs |")
        print("|---|---|---|---|---|---|---|---|")
        for threads in arguments.threads:
            for batch in arguments.batch:
                row = compare((arguments.model, theirs), batch, threads, arguments.image_size, arguments.seconds, arguments.rounds)
                rows.append(row)
                low, high = row["ratio_quartiles"]
                print(
                    f"| {batch} | {threads} | {row['incept_ms_per_image']:.1f} | {row['torch_export_ms_per_image']:.1f} "
                    f"| {row['ratio_of_medians']:.3f} | {low:.3f} to {high:.3f} | {row['rounds']} "
                    f"| {row['largest_difference']:.1e} (largest value {row['largest_value']:.2f}) |",
                    flush=True,
                )
    if arguments.json:
        document = {"schema": "incept.bench-onnxruntime/1", "network": arguments.network, "image_size": arguments.image_size, "rows": rows}
        pathlib.Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
