"""The house: imports point down, rooms on one floor do not know each other."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "ketamap"
ROOMS = (
    "io", "phantom", "stitch", "correct", "register", "detect", "trace", "quantify", "stats",
    "simulate", "report",
)  # fmt: skip
FLOOR = {"core": 0, **dict.fromkeys(ROOMS, 1), "workflow": 2, "cli": 3}
CORE_MAY_IMPORT = {"numpy", "scipy", "pandas"}
LINES_AT_MOST = 600
MODULES = sorted(SRC.glob("*/**/*.py"))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def room_of(path):
    return path.relative_to(SRC).parts[0]


def test_every_folder_has_its_floor():
    assert {p.name for p in SRC.iterdir() if (p / "__init__.py").exists()} <= set(FLOOR)


def test_imports_only_point_down():
    wrong = []
    for path in MODULES:
        here = room_of(path)
        for line, name in imports_of(path):
            if name.startswith("ketamap."):
                there = name.split(".")[1]
                if there != here and FLOOR[there] >= FLOOR[here]:
                    wrong.append(f"{path.relative_to(SRC)}:{line} imports {name}")
    assert not wrong, wrong


def test_the_ground_floor_needs_little():
    wrong = [
        f"{path.name}:{line} imports {name}"
        for path in MODULES
        if room_of(path) == "core"
        for line, name in imports_of(path)
        if name.split(".")[0] not in CORE_MAY_IMPORT | {"ketamap"}
        and name.split(".")[0] not in __import__("sys").stdlib_module_names
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_AT_MOST


def test_tests_mirror_the_source():
    tests = Path(__file__).parent
    missing = [
        str(path.relative_to(SRC))
        for path in MODULES
        if path.name != "__init__.py"
        and room_of(path) != "core"
        and not list((tests / room_of(path)).glob("test_*.py"))
    ]
    assert not missing, missing
