"""An accelerator that is none: tensors that say they are on `lazy:0`, compute on the CPU, and mix with no CPU tensor.

with PretendGpu():
    model = Net().to("lazy")

Of the devices that torch knows, `lazy` is one that a tensor may claim where nothing of it is installed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("lazy", 0)
MAY_MIX = ("aten::_to_copy", "aten::copy_", "aten::index", "aten::index_put", "aten::_index_put_impl")


class GpuTensor(Tensor):
    """`held` is what would be in the memory of the accelerator."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> GpuTensor:
        claim = Tensor._make_wrapper_subclass  # type: ignore[attr-defined]
        strides, offset = held.stride(), held.storage_offset()
        made: GpuTensor = claim(cls, held.shape, strides, offset, dtype=held.dtype, device=GPU)
        made.held = held
        return made

    @property  # type: ignore[override]
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, other: GpuTensor) -> None:
        Tensor.data.__set__(self, other)  # type: ignore[attr-defined]
        self.held = other.held

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class PretendGpu(TorchDispatchMode):
    """Lets tensors be made on `lazy`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on what its tensors hold, once they are known to be on one device. Numbers may be anywhere."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    on_gpu = any(isinstance(x, GpuTensor) for x in tensors)
    name = func._schema.name
    elsewhere = [list(x.shape) for x in tensors if not isinstance(x, GpuTensor) and x.dim()]
    if on_gpu and elsewhere and not name.startswith(MAY_MIX):
        raise RuntimeError(f"{name}: tensors are on {GPU} and on cpu, those there of {elsewhere}")
    device = kwargs.get("device")
    to_gpu = on_gpu if device is None else torch.device(device).type == GPU.type
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    out = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    known = {id(x.held): x for x in tensors if isinstance(x, GpuTensor)}

    def claimed(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return known[id(x)] if id(x) in known else GpuTensor(x) if to_gpu else x

    return tree_map(claimed, out)


def _held(x: Any) -> Any:
    return x.held if isinstance(x, GpuTensor) else x
