"""`make demo`: builds one day of the example that ships, and shows what is in it."""

import pathlib
import subprocess
import sys
import sysconfig

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "open_bandit"))

DATE = "2019-11-28"


def main() -> int:
    """Runs the steps as a user would type them; returns the first exit code that is not 0."""
    import fetch

    print(fetch.main())
    config = HERE / "open_bandit" / "open_bandit.yaml"
    dataset = HERE / "open_bandit" / "datasets" / "open_bandit"
    command = str(pathlib.Path(sysconfig.get_path("scripts")) / "retrolabel")
    for arguments in (["build", shown(config), "--date", DATE], ["versions", shown(dataset)]):
        print("\n$ retrolabel", " ".join(arguments), flush=True)
        code = subprocess.run([command, *arguments], check=False).returncode
        if code:
            return code
    print(f'\nIn Python:  retrolabel.load("{shown(dataset)}", split="train").to_pandas()')
    print(f"Next:       .venv/bin/retrolabel show {shown(dataset)}")
    return 0


def shown(path: pathlib.Path) -> str:
    """A path as one would type it here."""
    return str(path.relative_to(pathlib.Path.cwd())) if path.is_relative_to(pathlib.Path.cwd()) else str(path)


if __name__ == "__main__":
    raise SystemExit(main())
