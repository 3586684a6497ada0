"""The house rules that a machine can check: floors of imports, sizes of files, the public table of contents."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from close import approx

import mapping
import xbar

ROOT = Path(xbar.__file__).parents[1]
FLOORS = [
    {"xbar.errors"},
    {"xbar.units", "xbar.settings", "xbar.same", "xbar.events", "xbar.rng", "xbar.spread"},
    {"xbar.kernels", "xbar.dataflow"},
    {"xbar.config", "xbar.encoding", "xbar.network", "xbar.parts", "xbar.datasets", "xbar.pt2"},
    {"xbar.aten", "xbar.noise"},
    {"xbar.host", "xbar.hardware", "xbar.demo", "xbar.timing", "xbar.pieces"},
    {"xbar.quantization", "xbar.program", "xbar.result", "xbar.scaling", "xbar.spiking", "xbar.rows"},
    {"xbar.outline"},
    {"xbar.traffic"},
    {"xbar.frontends", "xbar.sim", "xbar.cost", "xbar.program_io", "mapping"},
    {"xbar.sweep", "xbar.training"},
    {"xbar.plots", "xbar.tables", "xbar.testing"},
    {"xbar.cli"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "Makefile", "README.md", "constraints.txt", "hw_configs", "mapping",
    "notebooks", "pyproject.toml", "tests", "xbar",
}  # fmt: skip
FILES = sorted([*(ROOT / "xbar").rglob("*.py"), *(ROOT / "mapping").rglob("*.py")])


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "mapping" else ".".join(parts[:2])


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            rooms = {f"xbar.{alias.name}" for alias in node.names} if node.module == "xbar" else {node.module}
            found |= rooms
    return {_room(m) for m in found if m.split(".")[0] in ("xbar", "mapping")}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_module_imports_only_from_lower_floors(file: Path) -> None:
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    if module == "xbar":
        return
    room = _room(module)
    assert room in FLOOR_OF, f"{room} has no floor; add it to FLOORS and to DESIGN"
    for other in _imports(file) - {room}:
        assert FLOOR_OF[other] < FLOOR_OF[room], f"{module} imports {other}, which is not below it"


def test_the_top_level_is_the_agreed_one() -> None:
    """Files that git knows; a trial's files belong elsewhere."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name.partition("/")[0] for name in listed.splitlines()} == TOP_LEVEL


def test_no_file_is_longer_than_500_lines() -> None:
    long = {
        str(f): n for f in [*FILES, *(ROOT / "tests").rglob("*.py")] if (n := len(f.read_text().splitlines())) > 500
    }
    assert not long


def test_the_imported_mapping_and_chips_are_ours() -> None:
    assert Path(mapping.__file__).parents[1] == ROOT
    assert "isaac_isca_2016" in xbar.list_chips()


def test_the_table_of_contents_names_what_exists() -> None:
    for name in xbar.__all__:
        assert getattr(xbar, name).__name__ == name
    typed = {
        alias.name
        for node in ast.walk(ast.parse((ROOT / "xbar" / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("xbar.")
        for alias in node.names
    }
    assert typed == set(xbar.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = xbar.nothing


def test_import_is_light() -> None:
    code = (
        "import sys, time; start = time.process_time(); import xbar, xbar.cli; took = time.process_time() - start;"
        "heavy = [m for m in ('torch', 'matplotlib', 'pandas', 'sklearn', 'numba') if m in sys.modules];"
        "assert not heavy, heavy; assert took < 0.5, took"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _forgiving(file: Path) -> list[int]:
    """Lines of calls of pytest.approx that leave its absolute tolerance of 1e-12 as it is."""
    calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func) == "pytest.approx" and "abs" not in {keyword.arg for keyword in call.keywords}
    ]


def test_nothing_is_close_by_an_absolute_tolerance_that_nobody_wrote() -> None:
    """A picojoule is 1e-12 J: `approx` of tests/close.py has none, `pytest.approx(..., abs=...)` says which."""
    tests = ROOT / "tests"
    named = {str(file.relative_to(tests)): _forgiving(file) for file in sorted(tests.rglob("*.py"))}
    assert not {name: lines for name, lines in named.items() if lines}
    imported = [
        name
        for name in named
        if re.search(r"^from pytest import .*\bapprox\b", (tests / name).read_text(), re.MULTILINE)
    ]
    assert not imported
    assert approx(2e-15) != 1e-15
