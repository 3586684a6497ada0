"""What recipes name: networks, training methods, and the chips and levels that methods ask for."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import nn

from xbar.demo.models import MLP, CaffeConvNet, CaffeLeNet, DigitsCnn, LeNet5, ResNet20
from xbar.errors import ConfigError, TrainingError
from xbar.hardware import Chip, load_chip
from xbar.noise import load_noise
from xbar.training.base import Method, Together
from xbar.training.levels import Levels, device_levels
from xbar.training.tea_network import tea_mnist_4, tea_mnist_4_alternating, tea_mnist_5

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "digits_cnn": DigitsCnn,
    "lenet5": LeNet5,
    "caffe_lenet": CaffeLeNet,
    "caffe_convnet": CaffeConvNet,
    "resnet20": ResNet20,
    "tea-mnist-4": tea_mnist_4,
    "tea-mnist-4-alternating": tea_mnist_4_alternating,
    "tea-mnist-5": tea_mnist_5,
}


def network(name: str) -> Any:
    """What builds a network: a name of `NETWORKS`, `mlp-784-300-10`, or module:Class. Raises ValueError."""
    if name in NETWORKS:
        return NETWORKS[name]
    kind, *sizes = name.split("-")
    if kind == "mlp" and len(sizes) >= 2 and all(size.isdigit() and int(size) for size in sizes):
        return lambda: MLP(tuple(int(size) for size in sizes))
    if ":" in name:
        return _of_module(name, nn.Module)
    close = difflib.get_close_matches(name, NETWORKS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    known = ", ".join(NETWORKS)
    raise ValueError(f"must be a network; {hint}the networks are {known}, mlp-784-300-10, or module:Class of your own")


def method_kinds() -> tuple[str, ...]:
    """Names of the training methods: the files of xbar/training that hold one."""
    package = importlib.import_module("xbar.training")
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in names if _method_in(f"xbar.training.{name}")))


def method(arguments: Mapping[str, Any]) -> Method:
    """A method from `{kind: ..., argument: value}`. Raises ValueError for the kind, XbarError else.

    Where a method wants a chip, `chip` is a name, a file, or {name: isaac_isca_2016, adc.bits: 6}, a name with
    settings; `levels` are {chip: ..., weight_bits: 5} with the arguments of `device_levels`.
    """
    kind = arguments.get("kind")
    if isinstance(kind, str) and ":" in kind:
        cls = _of_module(kind, Method)
    elif isinstance(kind, str) and kind in method_kinds():
        cls = _method_in(f"xbar.training.{kind}")
    else:
        close = difflib.get_close_matches(str(kind), method_kinds(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        known = ", ".join(method_kinds())
        raise ValueError(f"kind must be a training method, got {kind}; {hint}the methods are {known}, or module:Class")
    given = {name: value for name, value in arguments.items() if name != "kind"}
    known_arguments = inspect.signature(cls).parameters
    found = []
    for name in given.keys() - known_arguments.keys():
        close = difflib.get_close_matches(name, known_arguments, n=1)
        hint = f"did you mean {close[0]}?" if close else f"its arguments are {', '.join(known_arguments)}"
        found.append(f"{cls.__name__}: has no argument '{name}'; {hint}")
    needed = {name for name, p in known_arguments.items() if p.default is p.empty} - given.keys()
    found += [f"{cls.__name__}: needs '{name}'; give it a value" for name in sorted(needed)]
    if found:
        raise TrainingError(sorted(found))
    values = {name: _value(name, value) for name, value in given.items()}
    wrong = _wrong_types(cls.__name__, cls.__init__, values)
    if wrong:
        raise TrainingError(wrong)
    made: Method = cls(**values)
    return made


def contents(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a method with what their files hold: two are the same method only if these are equal."""
    held = dict(arguments)
    if ":" in str(held.get("kind")):  # of the user's own, whose arguments may mean anything
        return held
    if held.get("chip") is not None:
        held["chip"] = _chip(held["chip"]).model_dump(mode="json")
    if isinstance(held.get("noise"), str):
        held["noise"] = load_noise(held["noise"]).model_dump(mode="json")
    if isinstance(held.get("levels"), Mapping):
        held["levels"] = contents(held["levels"])
    return held


def _wrong_types(who: str, function: Callable[..., Any], values: Mapping[str, Any]) -> list[str]:
    """What is no value of the type that an argument is annotated with."""
    try:
        hints = get_type_hints(function)
    except NameError:  # a method of the user's, with names that only its type checker imports
        return []
    written = inspect.signature(function).parameters
    found = []
    for name, value in values.items():
        one: Any = tuple[hints.get(name, Any)]  # type: ignore[misc]  # pydantic takes no config for a lone model
        adapter: TypeAdapter[Any] = TypeAdapter(one, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
        try:
            adapter.validate_python((value,))
        except ValidationError as error:
            reasons = dict.fromkeys(e["msg"].removeprefix("Input ") for e in error.errors())
            wanted = written[name].annotation
            wanted = wanted if isinstance(wanted, str) else getattr(wanted, "__name__", wanted)
            found.append(f"{who}: {name}: must be {wanted} ({' or '.join(reasons)}), got {value!r}")
    return found


def _value(argument: str, value: Any) -> Any:
    """What YAML cannot say: chips, levels, pairs."""
    if argument == "chip" and value is not None:
        return _chip(value)
    if argument == "levels" and isinstance(value, Mapping):
        return _levels(dict(value))
    return tuple(value) if isinstance(value, list) else value


def _chip(named: Any) -> Chip:
    settings = {"name": named} if isinstance(named, str) else dict(named) if isinstance(named, Mapping) else {}
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise TrainingError(f"chip: must be a name or {{name: isaac_isca_2016, adc.bits: 6}}, got {named}")
    try:
        return load_chip(name, settings)
    except ConfigError as error:  # whose settings were not given by --set here
        raise ConfigError(p.replace("--set ", f"chip {name}: ", 1) for p in error.problems) from error


def _levels(arguments: dict[str, Any]) -> Levels:
    chip = _chip(arguments.pop("chip", None))
    known = [name for name in inspect.signature(device_levels).parameters if name != "device"]
    unknown = [name for name in arguments if name not in known]
    if unknown:
        raise TrainingError(f"levels: has no argument {', '.join(unknown)}; its arguments are chip, {', '.join(known)}")
    if isinstance(arguments.get("noise"), str):
        arguments["noise"] = load_noise(arguments["noise"])
    wrong = _wrong_types("levels", device_levels, arguments)
    if wrong:
        raise TrainingError(wrong)
    return device_levels(chip.device, **arguments)


def _method_in(module_name: str) -> Any:
    """The method that a module defines, or None."""
    module = importlib.import_module(module_name)
    for candidate in vars(module).values():
        own = inspect.isclass(candidate) and candidate.__module__ == module_name and candidate is not Together
        if own and issubclass(candidate, Method) and not inspect.isabstract(candidate):
            return candidate
    return None


def _of_module(name: str, family: type) -> Any:
    module_name, _, class_name = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except Exception as error:  # whatever a module of the user's raises when it is imported
        raise ValueError(f"cannot import {module_name} ({error}); install it, or put it on PYTHONPATH") from error
    if not (inspect.isclass(found) and issubclass(found, family) and not inspect.isabstract(found)):
        raise ValueError(f"{module_name} has no class {class_name} that is a {family.__module__}.{family.__name__}")
    return found
