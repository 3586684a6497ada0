"""What does not fit a chip is told, all of it, before anything runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_programs import random_program

from xbar.errors import CapacityError
from xbar.spiking.check import check_program, program_problems


def test_arrays_that_do_not_fit_each_other_are_told_alone() -> None:
    program = random_program(2)
    broken = replace(
        program,
        synapses=program.synapses[:2],
        place=program.place.astype(np.int64),
        targets=replace(program.targets, delay=program.targets.delay[:, :4]),
        layer=("one",),
    )
    assert list(program_problems(broken)) == [
        "random 2: place must be int32 [3, 2], got int64 [3, 2]",
        "random 2: synapses must be uint64 [3, 20, 1], got uint64 [2, 20, 1]",
        "random 2: targets.delay must be uint8 [3, 12], got uint8 [3, 4]",
        "random 2: needs the name of a layer for each of 3 cores, got 1",
    ]


def test_every_broken_rule_is_told_with_its_place() -> None:
    program = random_program(3)
    core, axon, delay = (getattr(program.targets, name).copy() for name in ("core", "axon", "delay"))
    core[0, 0], core[0, 1], core[1, 1], core[2, 2] = 3, -3, 1, -2
    axon[1, 1], axon[2, 2], delay[1, 1] = 20, 5, 16
    weight, types, synapses = program.neurons.weight.copy(), program.axon_type.copy(), program.synapses.copy()
    weight[2, 11, 3], types[1, 19] = -256, 4
    synapses[0, 5, 0] |= np.uint64(1) << np.uint64(12)
    links = replace(program.inputs, line=program.inputs.line + np.int32(6) * (np.arange(14) == 7).astype(np.int32))
    broken = replace(
        program,
        targets=replace(program.targets, core=core, axon=axon, delay=delay),
        neurons=replace(program.neurons, weight=weight),
        axon_type=types,
        synapses=synapses,
        inputs=links,
        place=np.array([[0, 0], [0, 0], [4, 0]], np.int32),
        classes=np.zeros(4, np.int32),
    )
    found = list(program_problems(broken))
    assert [line.partition(", got")[0] for line in found] == [
        "core 2: must be on the mesh of 4 x 4 cores",
        "core 1: must have a place of its own",
        "core 1: axon 19: axon type must be from 0 to 3",
        "core 0: axon 5: has a synapse to a neuron beyond the 12 of the core",
        "core 2: neuron 11: weight[3]: must be from -255 to 255",
        "core 0: neuron 0: target core: must be one of the 3 cores",
        "core 0: neuron 1: target core: must be one of the 3 cores",
        "core 1: neuron 1: target axon: must be from 0 to 19",
        "core 2: neuron 2: output: must be from 0 to 4",
        "core 1: neuron 1: delay: must be from 1 to 15",
        "random 3: input link 7: line must be from 0 to 5",
        "random 3: needs one class for each of 5 outputs",
    ]


def test_problems_that_are_alike_are_counted() -> None:
    program = random_program(4)
    broken = replace(program, neurons=replace(program.neurons, leak=np.full_like(program.neurons.leak, 300)))
    with pytest.raises(CapacityError) as caught:
        check_program(broken)
    assert len(caught.value.problems) == 11
    assert caught.value.problems[0] == "core 0: neuron 0: leak: must be from -255 to 255, got 300"
    assert caught.value.problems[-1] == "random 4: leak breaks the same rule in 26 more places"
