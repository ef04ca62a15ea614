"""A day in many small files: its dataset, manifest and rejects are those of the same files read one by one."""

import gzip
import pathlib

from retrolabel.transforms import small_files
from tests.end_to_end.test_odd_days import LATER, build, shop


def line(number: int) -> bytes:
    return b'{"at":"2026-11-20T01:%02d:00Z","id":"p%d"}\n' % (number % 60, number)


def write(folder: pathlib.Path) -> str:
    folder.mkdir()
    config = shop(folder, "", [("2026-11-20T02:00:00Z", f"p{number}") for number in range(0, 400, 7)] + [LATER])
    text = pathlib.Path(config).read_text().replace("path: served.json", 'max_rejected: 0.5, path: "served/*"')
    pathlib.Path(config).write_text(text)
    (folder / "served").mkdir()
    for number in range(0, 400, 4):
        lines = [line(number + place) for place in range(4)]
        kinds = {
            0: b"".join(lines),
            1: b"\xef\xbb\xbf" + b"".join(lines).removesuffix(b"\n"),
            2: b"no json\n" + lines[0] + b"\n" + lines[1] + b'{"id":1}\n',
            3: gzip.compress(b"".join(lines), mtime=0),
            4: b"",
            5: gzip.compress(b"".join(lines) * 50, mtime=0)[:-20],
            6: lines[0] + b"\xff\xfe\n" + b"no json either",
        }
        (folder / f"served/{number:03d}").write_bytes(kinds[number // 4 % 7])
    return config


def test_small_files_read_together_give_the_files_of_each_read_alone(tmp_path, monkeypatch):
    files, told = {}, {}
    for name, small in (("together", small_files.SMALL_BYTES), ("alone", -1)):
        monkeypatch.setattr(small_files, "SMALL_BYTES", small)
        told[name] = build(write(tmp_path / name), "2026-11-20")
        root = tmp_path / name / "datasets"
        files[name] = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files["together"] == files["alone"]
    counts = told["together"]["accounting"]["predictions"]
    assert counts["rejected"] > 50
    assert counts["examples"] > 150
