"""The rules that a reader of the code may rely on, checked on the syntax tree of every product module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ["pipelines", "transforms", "schemas", "configs", "adapters"]
MODULES = sorted(path.relative_to(ROOT) for room in [*ROOMS, "src"] for path in (ROOT / room).rglob("*.py"))

# A step may use the room it is in and those named here: dependencies point one way, so each room can be read alone.
MAY_IMPORT = {
    "pipelines": {"pipelines", "transforms", "schemas", "configs"},
    "transforms": {"transforms", "schemas", "configs"},
    "transforms/apis": {"transforms.apis", "schemas", "configs"},
    "transforms/kernels": {"transforms.kernels", "transforms.formats", "schemas", "configs"},
    "transforms/formats": {"transforms.kernels", "transforms.formats", "schemas", "configs"},
    "configs": {"configs", "schemas"},
    "schemas": {"schemas"},
    "adapters": {"adapters", "transforms", "schemas", "configs"},
}

BANNED_MODULES = {
    "pickle": "runs code that the file names",
    "cloudpickle": "runs code that the file names",
    "dill": "runs code that the file names",
    "marshal": "runs code that the file names",
    "shelve": "is pickle",
}
BANNED_NAMES = {
    "CoGroupByKey": "it lists both sides of a key in memory: Tag, Flatten, GroupByKey instead",
    "WriteToFiles": "it renames, so a killed build can leave a torn dataset",
    "save_main_session": "it pickles __main__; our code is importable",
}
BANNED_CALLS = {
    "eval": "runs what a user wrote",
    "exec": "runs what a user wrote",
    "yaml.load": "builds any object that the file names: yaml.safe_load",
    "yaml.load_all": "builds any object that the file names: yaml.safe_load_all",
    "yaml.full_load": "builds objects that the file names: yaml.safe_load",
    "yaml.unsafe_load": "builds any object that the file names: yaml.safe_load",
}


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Yields each imported name in full (`from a import b` is `a.b`), imports inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def rules_for(module: Path) -> set[str]:
    """The rooms that a module may import: those of the innermost folder that has a rule."""
    folder = next(str(parent) for parent in module.parents if str(parent) in MAY_IMPORT)
    return MAY_IMPORT[folder]


def violations(source: str, module: Path) -> list[str]:
    """Every banned import, name and call of a module, each with its reason."""
    tree = ast.parse(source)
    found = [
        f"imports {name}: it {BANNED_MODULES[name.split('.')[0]]}"
        for name in imported_names(tree)
        if name.split(".")[0] in BANNED_MODULES
    ]
    for node in ast.walk(tree):
        name = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "name", None)
        if name in BANNED_NAMES:
            found.append(f"uses {name}: {BANNED_NAMES[name]}")
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BANNED_CALLS:
            found.append(f"calls {ast.unparse(node.func)}: it {BANNED_CALLS[ast.unparse(node.func)]}")
    if module.parts[0] in {"pipelines", "transforms"} and "__future__.annotations" in imported_names(tree):
        found.append("imports annotations from __future__: Beam then reads no types, and pickles every element")
    return found


every_module = pytest.mark.parametrize("module", MODULES, ids=str)


@every_module
def test_a_module_uses_nothing_that_is_banned(module: Path) -> None:
    assert violations((ROOT / module).read_text("utf-8"), module) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from pickle import loads",
        "import apache_beam as beam\nbeam.CoGroupByKey()",
        "from apache_beam.io.fileio import WriteToFiles",
        "eval('1')",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "from __future__ import annotations",
    ],
)
def test_the_check_sees_what_is_banned(source: str) -> None:
    assert len(violations(source, Path("transforms/step.py"))) == 1


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[0] != "src"], ids=str)
def test_a_module_imports_only_the_rooms_below_it(module: Path) -> None:
    names = list(imported_names(ast.parse((ROOT / module).read_text("utf-8"))))
    ours = [name for name in names if is_within(name, "retrolabel") and name != "retrolabel.__version__"]

    assert [name for name in names if name.startswith(".")] == [], "imports are absolute"
    assert [name for name in ours if not any(is_within(name, f"retrolabel.{r}") for r in rules_for(module))] == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[1] in {"kernels", "formats"}], ids=str)
def test_kernels_and_formats_do_not_know_beam(module: Path) -> None:
    names = imported_names(ast.parse((ROOT / module).read_text("utf-8")))

    assert [name for name in names if is_within(name, "apache_beam")] == []
