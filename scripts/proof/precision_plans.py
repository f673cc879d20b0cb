"""Trains every network on synthetic images, plans its precision, and counts again, with files and images of their own, what
was said of the plan.

    python3 scripts/proof/precision_plans.py FOLDER [--incept PATH] [--steps N] [--table FILE]

For each bound on top-1 flips: `incept check --sensitivity` on training images, with the validation images as those that the plan
was not chosen with; `incept export --precision-plan`; then `incept eval` of both files on the validation images. Trained networks
that are in FOLDER already are taken as they are. Exit code 1: a plan breaks its bound, costs what it was not said to cost, makes
other errors on the validation images than was said, or a plan that was run is cheaper and keeps the bound.
"""

import argparse
import json
import pathlib
import subprocess
import sys

# In percent.
BOUNDS = ["0", "1"]
IMAGES = 200

CONFIG = """network = "{network}"
variant = "{variant}"
data = "{data}"
output = "{output}"
steps = {steps}
batch_size = 32
validate_every = 4
checkpoint_every = 100
workers = 1
[options]
image_height = 75
image_width = 75
width_multiplier = 0.25
[optimizer]
epsilon = 0.01
[learning_rate]
initial = 0.001
decay = 0.9
warm_up_steps = 40
[averaging]
decay = 0.98
[batch_norm]
decay = 0.9
[augmentation]
area = [0.5, 1.0]
"""
SMALL = ["--image-size", "75", "--width", "0.25", "--classes", "16"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--incept", default="target/release/incept")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--runtime", default="ort")
    parser.add_argument("--table", type=pathlib.Path, help="write the table into this file")
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.incept).resolve())
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)

    def run(*command):
        done = subprocess.run([program, *map(str, command)], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"incept {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    if not (folder / "data").exists():
        run("synth", "data", "--images", "2320")
    networks = [line.split()[:2] for line in run("list").splitlines()[1:]]
    rows, faults = [], []
    for network, variant in networks:
        name = f"{network}-{variant}"
        weights = train(run, folder, network, variant, arguments.steps)
        model = f"{name}.onnx"
        export = ["export", network, "--variant", variant, *SMALL, "--weights", weights]
        run(*export, "-o", model)
        for bound in BOUNDS:
            plan, planned = f"{name}-{bound}.toml", f"{name}-{bound}.onnx"
            check = ["check", model, "--sensitivity", "--weights", weights, "--images", "data/train", "--count", IMAGES]
            check += ["--unseen-images", "data/val", "--runtime", arguments.runtime, "--max-flips", bound, "--plan", plan, "--json", "-"]
            report = json.loads(run(*check))
            run(*export, "--precision-plan", plan, "-o", planned)
            row, wrong = judge(run, folder, report, model, planned, arguments.runtime)
            rows.append([name, bound, *row])
            faults += [f"{name}, {bound} %: {fault}" for fault in wrong]
            print(" | ".join(map(str, rows[-1])), flush=True)
    text = table(rows)
    print("\n" + text)
    if arguments.table:
        arguments.table.write_text(text)
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(rows)} plans for {len(networks)} networks, {len(faults)} faults")
    sys.exit(1 if faults else 0)


def train(run, folder, network, variant, steps):
    output = folder / f"{network}-{variant}"
    weights = output / "weights.safetensors"
    if not weights.exists():
        text = CONFIG.format(network=network, variant=variant, data=folder / "data", output=output, steps=steps)
        config = folder / f"{output.name}.train.toml"
        config.write_text(text)
        run("train", config, *(["--resume"] if (output / "checkpoints").exists() else []))
    return weights


def errors(run, model, runtime):
    """Top-1 errors on the images that no plan was chosen with."""
    evaluation = json.loads(run("eval", "--model", model, "--data", "data/val", "--runtime", runtime, "--json", "-"))
    found = evaluation["models"][0]["errors"]
    return found["top1_errors"], found["images"]


def judge(run, folder, report, model, planned, runtime):
    """What is said of a plan beside what its file is and does."""
    faults = []
    effect, plan = report["plan"]["effect"], report["plan"]
    if effect["flips"] > report["flips_allowed"]:
        faults.append(f"{effect['flips']} flips, {report['flips_allowed']} allowed")
    inspected = [json.loads(run("inspect", path, "--tensors", "--json")) for path in (model, planned)]
    sizes = [sum(tensor["bytes"] for tensor in inspection["tensors"]) for inspection in inspected]
    for what, said, found in zip(("float32", "the plan"), (report["cost_in_float32"], plan["cost"]), sizes):
        if said != found:
            faults.append(f"{what} is said to have {said} bytes of tensors, and has {found}")
    keeps = lambda trial: trial["effect"] is not None and trial["effect"]["flips"] <= report["flips_allowed"]
    cheaper = [trial for trial in report["trials"] if trial["cost"] < plan["cost"] and keeps(trial)]
    if cheaper:
        faults.append(f"{len(cheaper)} cheaper plans keep the bound")
    (before, images), (after, _) = errors(run, model, runtime), errors(run, planned, runtime)
    unseen = report["unseen"]
    said = unseen["top1_errors"], unseen["effect"]["top1_errors"]
    # float16 is measured with every result rounded, and a processor's runtime may keep more bits.
    exact = "fp16" not in plan["blocks"].values()
    if said[0] != before or (exact and said[1] != after):
        faults.append(f"{said} top-1 errors on the unseen images, found {(before, after)}")
    counts = {}
    for block in report["blocks"]:
        precision = plan["blocks"].get(block["block"], "fp32")
        counts[precision] = counts.get(precision, 0) + 1
    blocks = ", ".join(f"{counts[precision]} {precision}" for precision in ("fp32", "fp16", "bf16", "int8") if precision in counts)
    share = f"{100 * plan['cost'] / report['cost_in_float32']:.1f} %"
    ranked = sorted(report["blocks"], key=lambda block: block["rank"])
    flips = f"{effect['flips']} of {report['images']}"
    on_unseen = f"{unseen['effect']['flips']} of {unseen['images']}"
    return [flips, on_unseen, blocks, share, len(report["trials"]), f"{before} → {after} of {images}", ranked[0]["block"]], faults


def table(rows):
    headings = ["network", "allowed, %", "flips", "flips, unseen", "blocks", "bytes", "plans run", "errors, unseen", "most sensitive"]
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


if __name__ == "__main__":
    main()
