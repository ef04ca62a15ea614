"""Virtual environments that hold a wheel and nothing else of this checkout."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path


def clean_environment(folder: Path, wheel: Path | None) -> Path:
    """Makes a virtual environment with a wheel in it, which borrows only the dependencies of the running one.

    Returns:
        Its Python.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    if wheel:
        pip = [sys.executable, "-m", "pip", "--python", str(folder), "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    # A folder named by a .pth file has its own .pth files ignored, so the editable install stays invisible.
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"
