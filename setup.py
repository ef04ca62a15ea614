"""Maps the four top-level folders into the `retrolabel` package (see ARCHITECTURE.md, "Packaging")."""

import os

from setuptools import Extension, setup

ROOMS = [
    "pipelines",
    "transforms",
    "transforms.apis",
    "pipelines.report",
    "transforms.formats",
    "transforms.kernels",
    "schemas",
    "configs",
    "adapters",
]
"""Every folder of modules; `tests/packaging` fails when one is missing here."""

# In C's stable interface: one build serves every Python from 3.11 on. Where it cannot be compiled, a build is slower, no less right.
READER = Extension(
    "retrolabel.transforms.kernels._scan",
    ["transforms/kernels/_scan.c"],
    py_limited_api=True,
    optional=True,
    libraries=["m"] if os.name == "posix" else [],
)

setup(
    ext_modules=[READER],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    packages=["retrolabel", *(f"retrolabel.{room}" for room in ROOMS)],
    package_dir={"retrolabel": "src/retrolabel"} | {f"retrolabel.{room}": room.replace(".", "/") for room in ROOMS},
    exclude_package_data={"retrolabel.transforms.kernels": ["*.c"]},
    package_data={
        "retrolabel": ["py.typed"],
        "retrolabel.transforms.kernels": ["*.pyi"],
        "retrolabel.pipelines.report": ["*.css", "*.js"],
        "retrolabel.configs": ["examples/**/*", "*.json"],
    },
)
