"""PyTorch eager on the CPU: the forward pass and the training step of a network, to compare incept's own times with.

    .runtime/reference/bin/python scripts/bench/torch_eager.py [--network NAME] [--image-size N] [--batch N] [--threads N] [--json FILE]

float32. The forward pass is in evaluation mode without gradients. The training step is in training mode: forward with dropout, cross
entropy, backward, and a step of RMSProp in TensorFlow's form (timm's RMSpropTF; decay 0.9, epsilon 1.0, momentum 0.9) with weight decay. Medians.
"""

import argparse
import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable

import reference
import torch
from timm.optim import RMSpropTF
from torch.nn import functional


def times(work: Callable[[], None], rounds: int) -> list[float]:
    work()
    samples = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        samples.append(time.perf_counter() - started)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description="PyTorch eager times of a network on the CPU.")
    parser.add_argument("--network", default="inception_v4", choices=list(reference.networks.NETWORKS))
    parser.add_argument("--published", action="store_true", help="timm's own inception_v4")
    parser.add_argument("--image-size", type=int, default=299)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    network = reference.build(arguments.network, arguments.published, dropout=0.2)
    generator = torch.Generator().manual_seed(0)
    size = arguments.image_size
    image = torch.rand((arguments.batch, 3, size, size), generator=generator) * 2 - 1
    label = torch.randint(0, 1000, (arguments.batch,), generator=generator)
    # The weight decay acts on the weights of convolutions and linear layers only.
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 4e-5}, {"params": others, "weight_decay": 0.0}]
    optimiser = RMSpropTF(groups, lr=1e-4, alpha=0.9, eps=1.0, momentum=0.9)

    def forward() -> None:
        with torch.inference_mode():
            network(image)

    def training_step() -> None:
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(network(image), label).backward()
        optimiser.step()

    network.eval()
    rows = {"forward": times(forward, arguments.rounds)}
    network.train()
    rows["training step"] = times(training_step, arguments.rounds)

    document = {
        "schema": "incept.bench-eager/1",
        "network": arguments.network,
        "torch": torch.__version__,
        "image_size": size,
        "batch": arguments.batch,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "median_ms": {title: statistics.median(sample) * 1e3 for title, sample in rows.items()},
        "fastest_ms": {title: min(sample) * 1e3 for title, sample in rows.items()},
    }
    print(
        f"{arguments.network} at {size}, batch {arguments.batch}, {arguments.threads} threads, torch {torch.__version__}, float32; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
    print("| | median | fastest | images per second |")
    print("|---|---|---|---|")
    for title in rows:
        median, fastest = document["median_ms"][title], document["fastest_ms"][title]
        print(f"| {title} | {median:.0f} ms | {fastest:.0f} ms | {arguments.batch / median * 1e3:.2f} |")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
