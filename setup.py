"""Maps the four top-level folders into the `retrolabel` package (see ARCHITECTURE.md, "Packaging")."""

from setuptools import setup

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

setup(
    packages=["retrolabel", *(f"retrolabel.{room}" for room in ROOMS)],
    package_dir={"retrolabel": "src/retrolabel"} | {f"retrolabel.{room}": room.replace(".", "/") for room in ROOMS},
    package_data={
        "retrolabel": ["py.typed"],
        "retrolabel.pipelines.report": ["*.css", "*.js"],
        "retrolabel.configs": ["examples/**/*", "*.json"],
    },
)
