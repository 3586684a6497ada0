"""What operations do to rows: not-a-number in a row of the input reaches no row that the dataflow does not know of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from row_oracle import Reach, observed, predicted
from torch import Tensor, nn
from torch.nn import functional

from xbar.frontends.torch_module import from_torch

Operation = Callable[[Tensor], Tensor]
EXACT: dict[str, Operation] = {
    "pointwise": lambda y: functional.hardswish(torch.where(y > 0, y, 0.1 * y).clamp(-1, 2)) * y + y.exp(),
    "in place": lambda y: functional.relu6(functional.relu_(y).mul_(2), inplace=True),
    "activations": lambda y: functional.hardtanh(
        functional.mish(functional.softsign(functional.tanhshrink(functional.logsigmoid(functional.silu(y)))))
    ),
    "dropout and types": lambda y: functional.dropout(y, training=False).double().float().contiguous(),
    "softmax of channels": lambda y: y.softmax(1),
    "softmax of rows": lambda y: y.softmax(2),
    "layer norm": lambda y: functional.layer_norm(y.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2),
    "group norm": lambda y: functional.group_norm(y, 2),
    "local response": lambda y: functional.local_response_norm(y, 2),
    "max pooling": lambda y: functional.max_pool2d(y, 3, 2, 1),
    "pooling, ceiled": lambda y: functional.max_pool2d(y, 2, 2, ceil_mode=True),
    "pooling, dilated": lambda y: functional.max_pool2d(y, 2, 1, dilation=2),
    "pooling with indices": lambda y: functional.max_pool2d(y, 2, return_indices=True)[0],
    "average pooling": lambda y: functional.avg_pool2d(functional.avg_pool2d(y, (3, 1), (2, 1)), 2, 1),
    "adaptive pooling": lambda y: functional.adaptive_avg_pool2d(y, (4, 3)),
    "global pooling": lambda y: functional.adaptive_avg_pool2d(y, 1),
    "mean": lambda y: y - y.mean((2, 3), keepdim=True),
    "mean of columns": lambda y: y.mean(3).unsqueeze(3),
    "variance of channels": lambda y: y / y.std(1, keepdim=True),
    "best of channels": lambda y: y.topk(4, 1)[0],
    "every second row": lambda y: y[:, :, 1::2],
    "split and cat": lambda y: torch.cat(y.split([2, 7], 2)[::-1], 2)[:, :, :7],
    "stacked rows": lambda y: torch.stack(y.unbind(2)[::2], 2),
    "channels shuffled": lambda y: functional.pixel_unshuffle(
        functional.pixel_shuffle(functional.channel_shuffle(y, 2), 2), 2
    ),
    "gated": lambda y: torch.cat([functional.glu(y, 1)] * 2, 1),
    "upsampled": lambda y: functional.interpolate(y, scale_factor=2),
    "edge repeated": lambda y: functional.pad(y, (1, 1, 2, 1), mode="replicate"),
    "rows repeated": lambda y: y.repeat_interleave(2, 2),
    "unfolded": lambda y: y.unfold(2, 3, 2).flatten(3),
    "transposed": lambda y: y.transpose(2, 3),
    "squeeze and excite": lambda y: y * torch.sigmoid(y.mean((2, 3), keepdim=True)),
    "rows times rows": lambda y: y @ y.transpose(2, 3),
    "attention of rows": lambda y: functional.scaled_dot_product_attention(y, y, y),
    "attention of channels": lambda y: functional.scaled_dot_product_attention(*[y.transpose(1, 2)] * 3).transpose(
        1, 2
    ),
    "written whole": lambda y: torch.zeros(y.shape[0], 4, 9, 9).copy_(y),
    "zeros of its shape": lambda y: torch.zeros_like(y) + y,
    "fft": lambda y: torch.fft.fft(y, dim=2).real,
}
SOUND: dict[str, Operation] = {
    "zero rows": lambda y: functional.pad(y, (1, 1, 2, 0)),
    "mirrored": lambda y: functional.pad(y, (1, 1, 2, 1), mode="reflect"),
    "upside down": lambda y: y.flip(2),
    "rolled": lambda y: y.roll(1, 2),
    "picked": lambda y: y[:, :, torch.tensor([0, 3, 1])],
    "running sum": lambda y: y.cumsum(2),
    "sorted": lambda y: y.sort(2)[0],
    "bilinear": lambda y: functional.interpolate(y, scale_factor=2, mode="bilinear"),
    "einsum": lambda y: torch.einsum("bchw,bdhw->bchd", y, y),
    "part written": lambda y: _part_written(y),
    "written through a view": lambda y: _written_through(y),
    "flipped and added in place": lambda y: (y * 1).add_(y.flip(2)),
}


def _part_written(y: Tensor) -> Tensor:
    z = y.clone()
    z[:, :, 3:] = torch.relu(y)[:, :, :6]
    return z


def _written_through(y: Tensor) -> Tensor:
    y.view(y.shape[0], -1).relu_()
    return y


class Branches(nn.Module):
    """One convolution; behind it each operation between a copy of its result and a convolution of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Conv2d(3, 4, 3, padding=1), nn.ModuleList()
        with torch.no_grad():
            for operation in OPERATIONS:
                self.after.append(nn.Conv2d(operation(torch.rand(1, 4, 9, 9)).shape[1], 2, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.before(x)
        return tuple(after(do(y.clone())) for do, after in zip(OPERATIONS, self.after, strict=True))


OPERATIONS = [*EXACT.values(), *SOUND.values()]


@pytest.fixture(scope="module")
def reach() -> tuple[dict[str, Reach], dict[str, Reach]]:
    """For each layer, which rows of the input reach its rows: seen, and told by the dataflow."""
    x = torch.rand(1, 3, 9, 9)
    network = from_torch(Branches(), x)
    told = predicted(network.flow, 0)
    return observed(network, [x], 0, 2), {s.name: told[i] for i, s in enumerate(network.flow.streams)}


@pytest.mark.parametrize("name", [*EXACT, *SOUND])
def test_rows_reach_what_the_dataflow_says(name: str, reach: tuple[dict[str, Reach], dict[str, Reach]]) -> None:
    seen, told = (r[f"after.{[*EXACT, *SOUND].index(name)}"] for r in reach)
    assert seen.any()
    assert not (seen & ~told).any()
    assert (name in EXACT) == np.array_equal(seen, told)
