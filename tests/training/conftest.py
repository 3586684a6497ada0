"""Every test of training starts from the same random numbers, whatever ran before it, and computes in one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _same_numbers_in_one_thread() -> Iterator[None]:
    """Threads of many short operations wait for each other where other work has the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
