"""Kernels on torch's own threads.

torch and numba each bring an OpenMP library. After every parallel piece of work their threads keep spinning for some
milliseconds, so that on a machine's few cores each holds up the other: an engine that alternates between products in
torch and kernels in numba then runs several times slower. Kernels here are handed to the thread team that torch
already has (`GOMP_parallel` of the library that torch loaded); where torch has another, they run on Python threads.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_START = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


class Team(NamedTuple):
    """Who runs the tasks of a kernel: the address of `start(function, data, n_threads, flags)`, and the threads."""

    start: int
    n_threads: int


def team() -> Team:
    """As many threads as torch uses now (`torch.set_num_threads`)."""
    import torch

    return Team(_start_address(), torch.get_num_threads())


@cache
def _start_address() -> int:
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value or 0
    except (AttributeError, OSError, TypeError):  # torch was built with another OpenMP, or none
        return ctypes.cast(_python_threads, ctypes.c_void_p).value or 0


@_START
def _python_threads(function: int, data: int, n_threads: int, _flags: int) -> None:
    work = _WORK(function)  # a call through ctypes lets other Python threads run
    if n_threads <= 1:
        work(data)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(work, data) for _ in range(n_threads)]:
            done.result()


@intrinsic
def parallel_for(typingctx: Any, team: Any, function: Any, n_tasks: Any, arguments: Any) -> Any:
    """Call `function(task, *arguments)`, a compiled function without result, for all tasks in range(n_tasks).

    Threads take the next task as they become free; tasks must write to different places. An exception in a task is
    lost, so that kernels must not raise.
    """
    call = function.get_call_type(typingctx, (types.int64, *arguments.types), {})
    signature = types.void(team, function, types.int64, arguments)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        team_value, _, count, values = args
        pointer, word = ir.IntType(8).as_pointer(), ir.IntType(64)
        values_type = context.get_value_type(arguments)
        shared = cgutils.alloca_once(builder, ir.LiteralStructType([word, word, values_type]))
        for i, value in enumerate((ir.Constant(word, 0), count, values)):
            builder.store(value, cgutils.gep_inbounds(builder, shared, 0, i))
        work = _outlined(context, builder.module, function.dispatcher.get_compile_result(call), arguments, shared.type)
        start, n_threads = (builder.extract_value(team_value, i) for i in range(2))
        start_type = ir.FunctionType(ir.VoidType(), [pointer, pointer, ir.IntType(32), ir.IntType(32)])
        builder.call(
            builder.inttoptr(start, start_type.as_pointer()),
            [builder.bitcast(work, pointer), builder.bitcast(shared, pointer), builder.trunc(n_threads, ir.IntType(32)),
             ir.Constant(ir.IntType(32), 0)],
        )  # fmt: skip
        return context.get_dummy_value()

    return signature, codegen


def _outlined(context: Any, module: Any, compiled: Any, arguments: Any, shared_type: Any) -> Any:
    """A C function of a pointer to (next task, tasks, arguments) that works until no task is left."""
    context.active_code_library.add_linking_library(compiled.library)
    function_type = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
    work = ir.Function(module, function_type, module.get_unique_name("work"))
    work.linkage = "internal"
    builder = ir.IRBuilder(work.append_basic_block("entry"))
    shared = builder.bitcast(work.args[0], shared_type)
    next_task, n_tasks, values = (cgutils.gep_inbounds(builder, shared, 0, i) for i in range(3))
    unpacked = cgutils.unpack_tuple(builder, builder.load(values), len(arguments.types))
    take, run, leave = (work.append_basic_block(name) for name in ("take", "run", "leave"))
    builder.branch(take)
    builder.position_at_end(take)
    task = builder.atomic_rmw("add", next_task, ir.Constant(ir.IntType(64), 1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", task, builder.load(n_tasks)), run, leave)
    builder.position_at_end(run)
    context.call_internal_no_propagate(builder, compiled.fndesc, compiled.signature, [task, *unpacked])
    builder.branch(take)
    builder.position_at_end(leave)
    builder.ret_void()
    return work
