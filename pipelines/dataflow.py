"""What a build on Dataflow needs that one on this machine does not: paths that its workers reach, the package, and their settings."""

import atexit
import importlib.metadata
import pathlib
import shutil
import tempfile
import zipfile

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    WorkerOptions,
)

from retrolabel.configs.load import Project
from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.storage import is_local

RUNNER = "DataflowRunner"


def prepare_options(options: PipelineOptions) -> None:
    """Adds to Dataflow's options what this package knows best, unless they say otherwise.

    One process a worker, whose threads use all of its cores, instead of one a core; and the package itself, as it is installed here.

    Raises:
        ConfigError: this is an editable install, of which no package can be made.
    """
    debug = options.view_as(DebugOptions)
    if "use_multiple_sdk_containers" not in (debug.experiments or []):
        debug.add_experiment("no_use_multiple_sdk_containers")
    setup = options.view_as(SetupOptions)
    brings_package = setup.setup_file or setup.extra_packages or setup.requirements_file
    if not brings_package and not options.view_as(WorkerOptions).sdk_container_image:
        setup.extra_packages = [str(installed_wheel())]


def installed_wheel() -> pathlib.Path:
    """Packs the installed package into a wheel, which goes when the process ends.

    Raises:
        ConfigError: this is an editable install: its files are elsewhere.
    """
    package = importlib.metadata.distribution("retrolabel")
    files = [file for file in package.files or () if file.parts[0].startswith("retrolabel") and file.suffix != ".pyc"]
    if not any(file.name == "__init__.py" for file in files):
        raise ConfigError(
            "Dataflow's workers need this package, and an editable install cannot be sent to them. Add --setup_file ./setup.py, or "
            "--sdk_container_image with an image that holds it"
        )
    folder = pathlib.Path(tempfile.mkdtemp(prefix="retrolabel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / f"retrolabel-{package.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in files:
            wheel.write(file.locate(), str(file))
    return path


def check_paths(project: Project, options: PipelineOptions) -> None:
    """Checks that workers elsewhere reach every path of the config.

    Raises:
        ConfigError: some are of this machine.
    """
    config = project.config
    paths = [((*project.keys(name), "path"), path) for name in project.sources for path in project.source(name).path]
    paths.append((("output", "path"), config.output.path))
    local = [
        f"{project.place(*keys)}: {path!r} is on this machine"
        for keys, path in paths
        if is_local(project.resolve(path))
    ]
    temporary = options.view_as(GoogleCloudOptions).temp_location
    if not temporary or is_local(temporary):
        local.append(f"--temp_location: {temporary!r} is no folder of a bucket")
    if local:
        raise ConfigError(
            "Dataflow's workers cannot reach the files of this machine; name folders of a bucket, as gs://shop-logs/serving/*.log\n  "
            + "\n  ".join(local)
        )
