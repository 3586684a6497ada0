"""The full trainings behind results/: python tests/claims/prove.py group_scissor --seed 0 --out runs.

A proof is a list of commands as a user would type them, on the real data (XBAR_DATA names the folder of mnist/): train
without and with the method, compare on one chip. results/NAME_seed0.json keeps the commands, how long each took,
and the figures that they wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

_PAIRS = "--set encoding.kind=differential --set encoding.flipped=null"
_SLICED = (
    f"{_PAIRS} --set precision.weight_bits=9 --set precision.input_bits=8 "
    "--set precision.weights=dynamic_fixed_point --set precision.granularity=layer"
)
_SMALL = f"{_PAIRS} --set encoding.layout=separate --set precision.input_bits=8"
_ONE_LEVEL_PLAIN = (
    "{{epochs: 10, lr: 0.02, lr_every: 4}}, {{epochs: 30, lr: 0.03, lr_every: 10}}, {{epochs: 1, lr: 0.005}}"
)


def _truenorth(model: str) -> list[str]:
    """The penalty against the same training without it, and both deployed."""
    train = f"xbar train truenorth_bias_wen_2016 --set model={model} --data mnist --seed {{seed}} --out {{out}}"
    return [
        f"{train}/plain --set 'methods={{{{tea: {{{{kind: tea}}}}}}}}' --set stages.1.attach=[]",
        f"{train}/penalty",
        "python tests/claims/copies_and_spikes.py {out}/plain/model.pt2 {out}/penalty/model.pt2 {out}/table.json",
    ]


PROOFS = {
    "bit_slice_l1": [
        "xbar train l1_zhang_2019 --data mnist --seed {seed} --out {out}/l1",
        "xbar train bit_slice_l1_zhang_2019 --data mnist --seed {seed} --out {out}/slices",
        "xbar train adc_aware_zhang_2019 --data mnist --seed {seed} --out {out}/tuned",
        f"xbar compare {{out}}/l1/model.pt2 {{out}}/slices/model.pt2 {{out}}/tuned/model.pt2 {_SLICED} "
        "--data mnist --json {out}/compare.json",
        *(
            f"xbar compare {{out}}/slices/model.pt2 {{out}}/tuned/model.pt2 {_SLICED} --data mnist "
            f"--set crossbar.rows={rows} --set adc.bits={bits} --no-search --json {{out}}/{name}_{rows}_rows.json"
            for rows in (32, 64, 128)
            for name, bits in (("few_bits", "[3,3,3,1]"), ("eight_bits", 8))
        ),
    ],
    "bit_slice_l1_lenet": [
        *(
            f"xbar train {recipe} --set model=lenet5 --set stages.0.epochs=20 --set stages.1.epochs=15 "
            "--set stages.0.lr=0.02 --set stages.1.lr=0.02 --set stages.1.lr_every=6 --data mnist --seed {seed} "
            f"--out {{out}}/{more}"
            for recipe, more in (
                ("l1_zhang_2019", "l1"),
                ("bit_slice_l1_zhang_2019", "slices --set methods.slices.strength=0.4"),
            )
        ),
        f"xbar compare {{out}}/l1/model.pt2 {{out}}/slices/model.pt2 {_SLICED} --data mnist "
        "--json {out}/compare.json",
    ],
    "group_scissor": [
        "xbar train group_scissor_wang_2017 --data mnist --seed {seed} --out {out}/clipped "
        "--set 'methods={{ranks: {{kind: rank_clipping, eps: 0.02, every: 60, skip: [fc2]}}}}' "
        "--set 'stages=[{{epochs: 4, lr: 0.01}}, {{epochs: 8, lr: 0.01, lr_every: 4, attach: [ranks]}}]'",
        "xbar train group_scissor_wang_2017 --data mnist --seed {seed} --out {out}/plain --set methods={{}} "
        "--set 'stages=[{{epochs: 4, lr: 0.01}}, {{epochs: 8, lr: 0.01, lr_every: 4}}, {{epochs: 8, lr: 0.01}}, "
        "{{epochs: 4, lr: 0.005, lr_every: 2}}, {{epochs: 10, lr: 0.01, lr_every: 2}}]'",
        "xbar train group_scissor_wang_2017 --data mnist --seed {seed} --out {out}/deleted",
        f"xbar compare {{out}}/plain/model.pt2 {{out}}/clipped/model.pt2 {{out}}/deleted/model.pt2 {_SMALL} "
        "--data mnist --set crossbar.rows=64 --set crossbar.cols=64 --set precision.weight_bits=8 --max-loss 0.005 "
        "--json {out}/compare.json",
    ],
    "one_level": [
        f"xbar train one_level_wang_2017 --data mnist --seed {{seed}} --out {{out}}/plain --set methods={{{{}}}} "
        f"--set 'stages=[{_ONE_LEVEL_PLAIN}]'",
        "python tests/claims/naive_one_level.py {out}/plain/model.pt2 {out}/naive.json",
        f"xbar train one_level_wang_2017 --data mnist --seed {{seed}} --out {{out}}/level "
        f"--set 'stages=[{_ONE_LEVEL_PLAIN}, {{{{epochs: 0, lr: 0.01, attach: [level]}}}}]'",
        "xbar train one_level_wang_2017 --data mnist --seed {seed} --out {out}/regularized "
        "--set 'stages=[{{epochs: 10, lr: 0.02, lr_every: 4}}, "
        "{{epochs: 30, lr: 0.03, lr_every: 10, attach: [level]}}]'",
        "xbar train one_level_wang_2017 --data mnist --seed {seed} --out {out}/tuned",
        "xbar compare {out}/level/model.pt2 {out}/tuned/model.pt2 --data mnist --set precision.weights=one_level "
        "--set precision.weight_bits=2 --set precision.granularity=layer --set encoding.kind=ternary "
        "--set encoding.flipped=null --set device.cell_bits=1 --set precision.input_bits=8 --json {out}/compare.json",
    ],
    "admm": [
        "xbar train admm_yuan_2019 --data mnist --seed {seed} --out {out}/plain --set methods={{}} "
        "--set 'stages=[{{epochs: 10, lr: 0.001}}, {{epochs: 6, lr: 0.001, lr_every: 2}}]'",
        "xbar train admm_yuan_2019 --data mnist --seed {seed} --out {out}/admm",
        f"xbar compare {{out}}/plain/model.pt2 {{out}}/admm/model.pt2 --data mnist {_SMALL} --set crossbar.rows=32 "
        "--set crossbar.cols=32 --set device.cell_bits=4 --set precision.weight_bits=9 --json {out}/nine_bits.json",
        f"xbar compare {{out}}/plain/model.pt2 {{out}}/admm/model.pt2 --data mnist {_SMALL} --set crossbar.rows=32 "
        "--set crossbar.cols=32 --set device.cell_bits=4 --set precision.weight_bits=5 "
        "--set precision.granularity=layer --json {out}/five_bits.json",
    ],
    "noise_aware": [
        "xbar train noise_aware_joshi_2020 --data mnist --seed {seed} --out {out}/plain --set methods={{}} "
        "--set 'stages=[{{epochs: 5, lr: 0.02}}, {{epochs: 10, lr: 0.01, lr_every: 3}}]'",
        "xbar train noise_aware_joshi_2020 --data mnist --seed {seed} --out {out}/aware",
        "xbar compare {out}/plain/model.pt2 {out}/aware/model.pt2 --noise programming_10_percent --runs 10 "
        "--data mnist --inputs 2000 --no-search --json {out}/compare.json",
    ],
    "truenorth_bias": _truenorth("tea-mnist-4"),
    "truenorth_bias_published_types": _truenorth("tea-mnist-4-alternating"),
    "resnet20": [
        "python tests/claims/short_resnet20.py {out} --seed {seed}",
        f"xbar compare {{out}}/plain/model.pt2 {{out}}/bit_slice_l1/model.pt2 {{out}}/admm/model.pt2 {_PAIRS} "
        "--set precision.weight_bits=9 --set precision.input_bits=8 --data cifar10 --inputs 500 --no-search "
        "--json {out}/compare.json",
    ],
}


def prove(name: str, seed: int, out: Path) -> dict[str, Any]:
    """Run the commands of a proof that are not done yet; the record of all. A command that fails stops it."""
    out.mkdir(parents=True, exist_ok=True)
    log = out / "seconds.log"  # JSON lines: command, seconds
    done = dict(map(json.loads, log.read_text().splitlines())) if log.exists() else {}
    commands = [command.format(seed=seed, out=out) for command in PROOFS[name]]
    for command in commands:
        if command not in done:
            start = time.perf_counter()
            subprocess.run(shlex.split(command), check=True)
            done[command] = round(time.perf_counter() - start)
            with log.open("a") as lines:
                lines.write(json.dumps([command, done[command]]) + "\n")
    trainings = {file.parent.name: json.loads(file.read_text()) for file in sorted(out.glob("*/training.json"))}
    return {
        "commands": [command.format(seed=seed, out="OUT") for command in PROOFS[name]],
        "seconds": [done[command] for command in commands],
        "cores": os.cpu_count(),
        "date": date.today().isoformat(),
        "seed": seed,
        "recipes": {folder: training["recipe"] for folder, training in trainings.items()},
        "accuracy": {folder: training["accuracy"] for folder, training in trainings.items()},
        "accuracy_by_epoch": {
            folder: [epoch["accuracy"] for epoch in training.get("epochs", ())]
            for folder, training in trainings.items()
        },
        "figures": {file.stem: json.loads(file.read_text()) for file in sorted(out.glob("*.json"))},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PROOFS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for models and checkpoints")
    arguments = parser.parse_args()
    if "XBAR_DATA" not in os.environ:
        sys.exit("set XBAR_DATA to the folder that holds mnist/ and cifar10/")
    record = prove(arguments.name, arguments.seed, arguments.out / f"{arguments.name}_seed{arguments.seed}")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{arguments.name}_seed{arguments.seed}.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main()
