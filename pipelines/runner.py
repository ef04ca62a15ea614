"""Which runner a build goes to, and which ways of running are refused.

The default is Beam's in-process `FnApiRunner`, pinned as an object. `DirectRunner` is a switch: it first tries to download and start
another engine, and a small edit of a pipeline can flip it. With one bundle in memory the runner is correct; its other
modes are not, and are refused (ARCHITECTURE.md, "The runner").
"""

import contextlib
import ctypes
import dataclasses
from collections.abc import Sequence

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    HadoopFileSystemOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import PipelineRunner, create_runner
from apache_beam.runners.worker import sdk_worker

from retrolabel.pipelines import dataflow
from retrolabel.schemas.errors import ConfigError

IN_PROCESS = ("", "DirectRunner", "SwitchingDirectRunner", "FnApiRunner", "InProcessRunner")
"""Names by which people mean "here, in this process"."""

REFUSED = {
    "BundleBasedDirectRunner": "it loses the values that are grouped by key",
    "DaskRunner": "it drops branches and side outputs of a pipeline without a word",
    "InteractiveRunner": "it is for notebooks, and wraps a runner whose modes it hides",
}


@dataclasses.dataclass(frozen=True)
class Runner:
    """A runner, with the options that it was made for."""

    name: str
    options: PipelineOptions
    runner: PipelineRunner
    in_process: bool

    @property
    def translates(self) -> bool:
        """Whether the options ask for the pipeline's translation alone."""
        translated = (
            self.options.view_as(GoogleCloudOptions).template_location or self.options.view_as(TestOptions).dry_run
        )
        return self.name == dataflow.RUNNER and bool(translated)


def choose_runner(arguments: Sequence[str]) -> Runner:
    """Makes the runner that Beam's own options ask for.

    Args:
        arguments: Beam's pipeline options, as on a command line.

    Raises:
        ConfigError: they ask for something that loses data, hangs, or does not exist.
    """
    options = PipelineOptions(list(arguments))
    if options.view_as(HadoopFileSystemOptions).hdfs_host:
        raise ConfigError("--hdfs_host is refused: the URL names the server, as in hdfs://namenode:9870/logs/*.json")
    FileSystems.set_options(options)  # before the pipeline is made: inputs are listed with the same
    name = (options.view_as(StandardOptions).runner or "").rpartition(".")[2]
    if name in REFUSED:
        raise ConfigError(f"--runner {name} is refused: {REFUSED[name]}. Leave --runner out to run in this process")
    if name not in IN_PROCESS:
        if name == dataflow.RUNNER:
            dataflow.prepare_options(options)
        try:
            return Runner(name, options, create_runner(name), in_process=False)
        except (ValueError, ImportError, AttributeError) as error:
            raise ConfigError(f"--runner {name}: {error}") from None
    unknown = options.get_all_options(retain_unknown_options=True).keys() - options.get_all_options().keys()
    if unknown:
        raise ConfigError(
            f"no option is called --{min(unknown)}: neither of `retrolabel`, see --help, nor of Beam's runner in this process"
        )
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode == "multi_threading":
        raise ConfigError(
            "--direct_running_mode multi_threading is refused: Beam's in-process runner silently loses elements in it. "
            "Leave it out: blocks are worked on by as many threads as there are cores"
        )
    if direct.direct_running_mode == "multi_processing":
        raise ConfigError(
            "--direct_running_mode multi_processing is refused: a build hangs for ever when a worker process dies. "
            "Leave it out: blocks are worked on by as many threads as there are cores"
        )
    if direct.direct_num_workers != 1:
        raise ConfigError(
            "--direct_num_workers is refused: the in-process runner works on one bundle, with threads inside it"
        )
    return Runner("FnApiRunner", options, in_process_runner(options), in_process=True)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""


def keep_freed_memory() -> None:
    """Lets the C library keep up to 1 GiB of what is freed for the next block, instead of giving its pages back and getting them anew.

    Other libraries than glibc are left as they are.
    """
    with contextlib.suppress(OSError, AttributeError):  # a program without dynamic linking, or without the function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, 2**30)
        mallopt(_MMAP_THRESHOLD, 2**30)


def in_process_runner(options: PipelineOptions) -> fn_runner.FnApiRunner:
    """The in-process runner, with options reaching its workers, and with the race disarmed that drops buffered elements.

    `TimeBasedBufferingClosableOutputStream` clears what was written while it was flushing; a time limit of 0 avoids it. The names of
    metrics, which are kept for the whole life of a process, begin anew: with each other pipeline there would be more of them, and
    in process nobody asks for them.
    """
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
    sdk_worker.SHORT_ID_CACHE = sdk_worker.ShortIdCache()
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision = fn_runner.ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded))
    return fn_runner.FnApiRunner(provision_info=provision)
