"""Every notebook runs from top to bottom and is kept without outputs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

import xbar

NOTEBOOKS = sorted((Path(xbar.__file__).parents[1] / "notebooks").glob("*.ipynb"))


def _execute(notebook: Path, folder: Path, without: str | None = None) -> str:
    """Run all cells in `folder`, without an environment variable; returns everything they printed."""
    from nbclient import NotebookClient

    book = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        book,
        timeout=1500,
        kernel_name="python3",
        shutdown_kernel="immediate",  # nothing is left to save, and torch takes seconds to tidy up
        resources={"metadata": {"path": str(folder)}},
    )
    # one thread: those of many short operations wait for each other on busy cores
    env = {name: value for name, value in os.environ.items() if name != without} | {"OMP_NUM_THREADS": "1"}
    asyncio.run(client.async_execute(env=env))
    outputs = [o for cell in book.cells if cell.cell_type == "code" for o in cell.outputs]
    return "".join(o.get("text", "") for o in outputs)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda f: f.stem)
def test_outputs_are_cleared(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None)


@pytest.fixture(scope="module")
def executed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[str]]]:
    """What each notebook that is asked for prints on the embedded digits; as many run at a time as there are cores."""
    asked = [
        i.callspec.params["notebook"] for i in request.session.items if "executed" in getattr(i, "fixturenames", ())
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {n: pool.submit(_execute, n, tmp_path_factory.mktemp(n.stem), without="XBAR_DATA") for n in asked}


@pytest.mark.filterwarnings("default")  # warnings of the kernel's own plumbing
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda f: f.stem)
def test_runs_on_the_embedded_digits(notebook: Path, executed: dict[Path, Future[str]]) -> None:
    assert "on hardware" in executed[notebook].result()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif("XBAR_DATA" not in os.environ, reason="set XBAR_DATA to the folder that holds mnist/")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda f: f.stem)
def test_runs_on_real_data(notebook: Path, tmp_path: Path) -> None:
    assert "on hardware" in _execute(notebook, tmp_path)
