"""Work in several processes: results as they are done."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from xbar.errors import XbarError

T = TypeVar("T")


def in_processes(function: Callable[..., T], calls: Sequence[tuple[Any, ...]], n_workers: int | None) -> Iterator[T]:
    """The results of function(*arguments) for each of `calls`, the first to be done first.

    function: one that can be pickled. n_workers: processes, None for one per core; a single one is this process.
    Raises XbarError where a process died.
    """
    n = min(n_workers or os.cpu_count() or 1, len(calls))
    if n <= 1:
        yield from (function(*arguments) for arguments in calls)
        return
    threads = max(1, (os.cpu_count() or 1) // n)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n, context, _start_worker, (threads,)) as pool:
        try:
            for future in as_completed([pool.submit(function, *arguments) for arguments in calls]):
                yield future.result()
        except BrokenProcessPool as error:
            raise XbarError(
                "workers: a process died, perhaps for want of memory; run the same again with fewer of them (what "
                "the output file holds already is kept)"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker(n_threads: int) -> None:
    import torch

    from xbar.kernels.shared_cache import take_turns

    take_turns()
    torch.set_num_threads(n_threads)  # the kernels follow
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A killed parent cannot stop its workers: they leave by themselves."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
