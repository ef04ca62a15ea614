"""Which files a pattern matches, on a disk with names, links and folders as they come."""

import os
import pathlib
import tempfile

import pytest

from retrolabel.transforms.listing import files_matching
from tests.support import memory_store

NAMES = [
    "a.json", "a b.json", "a#1.json", "a[1].json", "a1.json", "a*.json", "a?.json", "a\\b.json", "a\nb.json", "\u00e9.json", "e\u0301.json",
    ".a.json", "{hour}.json", "x/a.json", "x/y/a.json", "x/y/z/b.json", "[d]/a.json", "d/a.json",
]  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.json", [name for name in NAMES if "/" not in name]),
        ("a?.json", ["a1.json", "a*.json", "a?.json"]), ("a[1].json", ["a1.json", "a[1].json"]), ("a[[]1].json", ["a[1].json"]), ("a[!0-9].json", ["a*.json", "a?.json"]),
        ("a[*]*.json", ["a*.json"]), ("a[]^-]*", []), ("a#1.json", ["a#1.json"]), ("a b.json", ["a b.json"]), ("\u00e9.json", ["\u00e9.json"]),
        ("*/a.json", ["x/a.json", "[d]/a.json", "d/a.json"]), ("[d]/*", ["d/a.json", "[d]/a.json"]), ("x/**", ["x/a.json", "x/y/a.json", "x/y/z/b.json"]),
        ("x/**/?.json", ["x/a.json", "x/y/a.json", "x/y/z/b.json"]), ("**/b.json", ["x/y/z/b.json"]), ("x**/b.json", ["x/y/z/b.json"]),
        ("**/a.json", ["a.json", "x/a.json", "x/y/a.json", "[d]/a.json", "d/a.json"]), ("**/y/**/a.json", ["x/y/a.json"]), ("x/", ["x/a.json"]), ("x/../a1.json", ["x/../a1.json"]),
        ("x/*/../a.json", ["x/y/../a.json"]), ("none/*.json", []), ("a.json/*", []), ("none.json", []),
    ],
)  # fmt: skip
def test_a_pattern_matches_names(tree, monkeypatch, pattern, names):
    assert {path.removeprefix(f"{tree}/") for path in files_matching(f"{tree}/{pattern}")} == set(names)
    monkeypatch.chdir(tree)
    assert set(files_matching(pattern)) == set(names)


def test_links_lead_to_folders_and_files(tree):
    (tree / "linked").symlink_to(tree / "x")
    (tree / "x/link.json").symlink_to(tree / "a.json")
    (tree / "x/nowhere.json").symlink_to(tree / "gone")
    found = {os.path.relpath(path, tree) for path in files_matching(f"{tree}/l*/*.json")}
    assert found == {"linked/a.json", "linked/link.json", "linked/nowhere.json"}
    assert not any("/linked/" in path for path in files_matching(f"{tree}/**/*.json"))
    assert f"{tree}/linked/a.json" in files_matching(f"{tree}/linked/**")


@pytest.mark.parametrize("pattern", ["*/a.json", "shut/a.json", "**/a.json"])
def test_a_folder_that_may_not_be_read_is_no_empty_folder(pattern):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "shut").mkdir()
        (folder / "shut/a.json").write_text("{}")
        (folder / "shut").chmod(0)
        nobody = os.geteuid() == 0
        if nobody:  # whom everything is allowed
            os.seteuid(65_534)
        try:
            with pytest.raises(PermissionError):
                files_matching(f"{folder}/{pattern}")
        finally:
            if nobody:
                os.seteuid(0)
            (folder / "shut").chmod(0o755)


@pytest.mark.parametrize("pattern", ["[z-a]*", "**[z-a]"])
def test_what_is_no_pattern_is_told(tmp_path, pattern):
    with pytest.raises(ValueError, match="is no pattern"):
        files_matching(f"{tmp_path}/{pattern}")


def test_folders_of_a_store_are_crossed_as_those_of_a_disk(monkeypatch):
    names = ["a.json", "x/a.json", "x/y/a.json", "x/b.json"]
    for name in names:
        monkeypatch.setitem(memory_store.OBJECTS, f"memory://logs/day/{name}", b"")
    found = files_matching("memory://logs/**/**/a.json")
    assert sorted(found) == [f"memory://logs/day/{name}" for name in names[:3]]
    assert sorted(files_matching("memory://logs/day/**/a.json")) == sorted(found)
    assert all(file.path == path for path, file in found.items())
