"""A layer as two: W = U V^T [row, col], with what an optimizer keeps of the three."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init
from torch.optim import LBFGS, Adagrad, Optimizer

from xbar.training.base import MATRIX_MODULES, Treated

# What optimizers of torch keep for each weight: the power of the gradient that it is a mean or sum of.
MOMENTS = {
    "momentum_buffer": 1,
    "exp_avg": 1,
    "grad_avg": 1,
    "exp_avg_sq": 2,
    "max_exp_avg_sq": 2,
    "square_avg": 2,
}


@dataclass(frozen=True, eq=False)
class Factors:
    """A layer W [row, col] and the two that stand for it: `u`, U^T [rank, row], and `v`, V [col, rank] and the bias.

    name: that of the layer in the model. Of a convolution, u has its kernel and v is 1x1.
    """

    name: str
    whole: nn.Module
    pair: nn.Sequential

    @property
    def u(self) -> nn.Parameter:
        return self.pair[0].weight  # type: ignore[return-value]

    @property
    def v(self) -> nn.Parameter:
        return self.pair[1].weight  # type: ignore[return-value]

    @property
    def weight(self) -> nn.Parameter:
        return self.whole.weight  # type: ignore[return-value]

    @property
    def rank(self) -> int:
        return self.u.shape[0]

    @property
    def pays(self) -> bool:
        """Whether the two hold fewer cells than the whole matrix: K (N + M) < N M."""
        return self.u.numel() + self.v.numel() < self.weight.numel()

    @property
    def layers(self) -> tuple[Treated, Treated]:
        """Both as layers of the model."""
        return Treated(f"{self.name}.u", self.pair[0], self.u), Treated(f"{self.name}.v", self.pair[1], self.v)

    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Uncentred PCA of U: eigenvalues [rank] of U^T U, falling, and eigenvectors [rank, k], in float64."""
        u = self.u.detach().flatten(1).double()
        values, vectors = torch.linalg.eigh(u @ u.T)
        return values.flip(0).clamp(min=0), vectors.flip(1)

    def turn(self, basis: Tensor, optimizer: Optimizer) -> None:
        """U <- U E, V <- V E with E = `basis` [rank, k], and the moments that the optimizer has of their gradients.

        The gradients turn as the weights do, dL/dU' = dL/dU E, so a momentum stays the same mean of gradients. Means
        of squares become sum_j E_jk^2 s_j, as for independent gradients. What is unknown is forgotten.
        """
        for parameter, axis in ((self.u, 0), (self.v, 1)):
            state = optimizer.state.get(parameter, {})
            kept = {key: value for key, value in state.items() if _like(value, parameter)}
            if kept.keys() <= MOMENTS.keys():
                state.update({key: _turned(value, basis ** MOMENTS[key], axis) for key, value in kept.items()})
            else:
                del optimizer.state[parameter]
            _replace_data(parameter, _turned(parameter.detach(), basis, axis))
        self._tell_rank()

    def resize(self, rank: int, optimizer: Optimizer) -> None:
        """Zeros of another rank, of which the optimizer knows nothing: for values that are loaded next."""
        if rank == self.rank:
            return
        for parameter, axis in ((self.u, 0), (self.v, 1)):
            shape = list(parameter.shape)
            shape[axis] = rank
            optimizer.state.pop(parameter, None)
            _replace_data(parameter, parameter.new_zeros(shape))
        self._tell_rank()

    def merge(self) -> None:
        """W <- U V^T, in the whole layer."""
        product = self.v.detach().flatten(1).double() @ self.u.detach().flatten(1).double()
        self.weight.data = product.reshape(self.weight.shape).to(self.weight.dtype)

    def _tell_rank(self) -> None:
        """The sizes that both layers print."""
        sizes = (
            ("out_features", "in_features") if isinstance(self.whole, nn.Linear) else ("out_channels", "in_channels")
        )
        setattr(self.pair[0], sizes[0], self.rank)
        setattr(self.pair[1], sizes[1], self.rank)


def factorise(treated: Treated) -> Factors:
    """Full rank: V = E, the eigenvectors of W^T W (uncentred PCA of the rows of W), and U = W E. The bias is shared."""
    whole, weight = treated.module, treated.parameter
    matrix = treated.matrix(weight.detach())[0].double()
    e = torch.linalg.svd(matrix, full_matrices=False).Vh.T
    kind, like = type(whole), {"device": weight.device, "dtype": weight.dtype}
    if isinstance(whole, nn.Linear):
        u = skip_init(kind, whole.in_features, e.shape[1], bias=False, **like)
        v = skip_init(kind, e.shape[1], whole.out_features, bias=False, **like)
    else:
        same = {key: getattr(whole, key) for key in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
        u = skip_init(kind, whole.in_channels, e.shape[1], bias=False, **same, **like)
        v = skip_init(kind, e.shape[1], whole.out_channels, 1, bias=False, **like)
    for layer, values in ((u, (matrix @ e).T), (v, e)):
        _replace_data(layer.weight, values.reshape(layer.weight.shape).to(weight.dtype))
        layer.weight.requires_grad_(weight.requires_grad)
    v.bias = whole.bias
    pair = nn.Sequential(OrderedDict(u=u, v=v))
    return Factors(treated.name, whole, pair.train(whole.training))


def unsuited(who: str, model: nn.Module, treated: Sequence[Treated], optimizer: Optimizer) -> Iterator[str]:
    """Why layers cannot be replaced by two, one problem each."""
    if isinstance(optimizer, Adagrad | LBFGS):
        yield (
            f"{who}: the optimizer must take weights whose shapes change, got {type(optimizer).__name__}; use SGD, "
            "Adam, AdamW or RMSprop"
        )
    readers = {child for m in model.modules() if isinstance(m, nn.TransformerEncoderLayer) for child in m.children()}
    for t in treated:
        rule = None
        kind = type(t.module).__name__
        if t.module is model:
            yield f"{who}: the model must hold its layers, got a single {kind}; wrap it in nn.Sequential"
            continue
        if type(t.module) not in MATRIX_MODULES:
            rule = f"a subclass of torch's layers ({kind}), whose own ways two plain layers would lose"
        elif t.groups > 1:
            rule = f"{t.groups} groups, which are {t.groups} matrices, and one is needed"
        elif t.module in readers:
            rule = "in a TransformerEncoderLayer, which reads its weights directly"
        elif t.module._forward_hooks or t.module._forward_pre_hooks or t.module._backward_hooks:
            rule = f"watched by hooks, which would be lost; attach {who} before what hooks it"
        elif any(p is t.parameter for m in model.modules() if m is not t.module for p in m._parameters.values()):
            rule = "sharing its weights with another layer"
        elif not torch.isfinite(t.parameter).all():
            rule = "with NaN or infinite weights"
        if rule:
            yield f"{who}: layer {t.name}: cannot be factorised, it is {rule}; or leave it alone with skip=['{t.name}']"


def replace_module(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts `new` wherever the model holds `old`."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)


def replace_parameters(optimizer: Optimizer, old: Sequence[Treated], new: Sequence[Treated]) -> None:
    """Puts the weights of `new` in the place of those of `old`, in the same group; their state starts anew."""
    gone = {id(t.parameter) for t in old}
    for group in optimizer.param_groups:
        where = [i for i, p in enumerate(group["params"]) if id(p) in gone]
        names: dict[str, list[Any]] = {
            "params": [t.parameter for t in new],
            "param_names": [f"{t.name}.weight" for t in new],
        }
        for key in names.keys() & group.keys() if where else ():
            rest = [x for i, x in enumerate(group[key]) if i not in where]
            group[key][:] = [*rest[: where[0]], *names[key], *rest[where[0] :]]
    for t in old:
        optimizer.state.pop(t.parameter, None)


def _like(value: object, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape


def _turned(values: Tensor, basis: Tensor, axis: int) -> Tensor:
    turned = torch.tensordot(values.double(), basis.to(values.device), dims=([axis], [0]))
    return _laid_out(turned.movedim(-1, axis).to(values.dtype))


def _laid_out(values: Tensor) -> Tensor:
    """The values with the strides of a new tensor, as a run that goes on from a file has them: torch multiplies others
    in another order, and calls those of a 1 x 1 kernel contiguous whatever they are."""
    return torch.empty(values.shape, dtype=values.dtype, device=values.device).copy_(values)


def _replace_data(parameter: nn.Parameter, values: Tensor) -> None:
    """Values of another shape for the same parameter, which the optimizer and other methods know.

    While a loss of the last step is alive, autograd keeps the node that adds up the gradient, and with it the old
    shape; it lets go of the node when the type changes.
    """
    parameter.grad = None
    other = torch.float32 if parameter.dtype == torch.float64 else torch.float64
    parameter.data = torch.empty(0, dtype=other, device=parameter.device)
    parameter.data = _laid_out(values)
