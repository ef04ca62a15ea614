"""A build on Dataflow, as far as that can be seen without Google: what is sent is examined, and run by a worker that has nothing else.

Storage and Dataflow are the small servers of tests/support/fake_google.py. Needs the extra `gcp`: `make test-engines` brings it.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2

from retrolabel.pipelines.runner import in_process_runner
from tests.support.environments import clean_environment
from tests.support.fake_google import FakeGoogle, fake_google
from tests.support.messy import DAY, write_logs

pytestmark = pytest.mark.engines

pytest.importorskip("google.cloud.dataflow_v1beta3", reason="the extra gcp is not installed")


LAUNCH = pathlib.Path(__file__).parents[2] / "docker" / "launch.py"


class Shop:
    """A config whose logs and dataset are in buckets, and an environment that holds nothing but the wheel and its dependencies."""

    def __init__(self, folder: pathlib.Path, google: FakeGoogle, wheel: pathlib.Path) -> None:
        self.google = google
        write_logs(folder, seed=11, predictions=400)
        for path in (folder / "logs").rglob("*"):
            if path.is_file():
                google.store("shop-logs", str(path.relative_to(folder)), path.read_bytes())
        config = (folder / "shoes.yaml").read_text().replace("path: logs/", "path: gs://shop-logs/logs/")
        self.config = folder / "shoes.yaml"
        self.config.write_text(config.replace("path: datasets", "path: gs://shop-data/datasets"))
        (folder / "credentials.json").write_text(json.dumps(google.credentials()))
        self.environment = {**os.environ, **google.environment(str(folder / "credentials.json"))}
        self.python = clean_environment(folder / "launcher", wheel)

    def build(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), "-m", "retrolabel", "build", str(self.config), "--date", str(DAY.date()), *options]
        return subprocess.run(
            command, env=self.environment, cwd=self.config.parent, capture_output=True, text=True, check=False
        )

    def on_dataflow(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.build("--", "--runner", "DataflowRunner", "--project", "shop-project", "--region", "europe-west1",
                          "--temp_location", "gs://shop-temp/tmp", f"--dataflow_endpoint={self.google.url}", *options)  # fmt: skip

    def dataset(self) -> dict[str, bytes]:
        return {
            name: data
            for name, data in self.google.content("shop-data", "datasets/").items()
            if not re.search("/(_reports/|croissant-)", name)  # what the command leaves, not the pipeline
        }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, wheel: pathlib.Path) -> Iterator[Shop]:
    with fake_google() as google:
        yield Shop(tmp_path_factory.mktemp("dataflow"), google, wheel)


@pytest.fixture(scope="module")
def expected(shop: Shop) -> dict[str, bytes]:
    """The dataset as a build in process leaves it in the bucket, which is then emptied."""
    built = shop.build()
    assert built.returncode == 0, built.stderr
    dataset = shop.dataset()
    for name in dataset:
        shop.google.objects.pop(("shop-data", name))
    return dataset


@pytest.fixture(scope="module")
def pipeline(shop: Shop, expected: dict[str, bytes]) -> beam_runner_api_pb2.Pipeline:
    """The pipeline as it was staged for Dataflow."""
    sent = shop.on_dataflow()
    assert len(shop.google.jobs) == 1, sent.stderr
    (staged,) = [data for name, data in shop.google.content("shop-temp", "").items() if name.endswith("/pipeline.pb")]
    return beam_runner_api_pb2.Pipeline.FromString(staged)


def test_a_bucket_holds_the_dataset(expected):
    assert "datasets/shoes/_versions/00000001.json" in expected
    assert sum(name.endswith(".parquet") for name in expected) > 3


def test_the_job_has_readable_steps_and_nothing_of_this_machine(shop, pipeline):
    names = {transform.unique_name for transform in pipeline.components.transforms.values()}
    assert {"Build/Read/ReadBlocks", "Build/Label", "Build/Commit/Commit"} <= names
    text = pipeline.SerializeToString()
    assert str(shop.config.parent).encode() not in text
    assert str(pathlib.Path.home()).encode() not in text.replace(b"/root/.apache_beam", b"")
    assert len(text) < 1_000_000


def test_workers_are_told_how_to_run(shop, pipeline):
    components = pipeline.components
    steps = [step for step in components.transforms.values() if step.environment_id and "Build/" in step.unique_name]
    hints = [dict(components.environments[step.environment_id].resource_hints) for step in steps]
    assert hints
    assert all(hint == {"beam:resources:min_ram_bytes:v1": b"4000000000"} for hint in hints)
    assert "no_use_multiple_sdk_containers" in shop.google.jobs[0]["environment"]["experiments"]


def test_what_crosses_the_shuffle_is_numbers_and_bytes(pipeline):
    """Pickled rows would carry the whole block that they were cut from."""
    components = pipeline.components
    grouped = [
        components.pcollections[pcollection].coder_id
        for transform in components.transforms.values()
        if transform.spec.urn == "beam:transform:group_by_key:v1"
        for pcollection in transform.inputs.values()
    ]
    assert len(grouped) > 4
    for coder in grouped:
        _, value = components.coders[coder].component_coder_ids
        assert components.coders[value].spec.urn != "beam:coder:pickled_python:v1"


def test_a_worker_with_the_staged_package_alone_gives_the_bytes_of_a_build_in_process(
    shop, expected, pipeline, tmp_path, monkeypatch
):
    (name, data), = [item for item in shop.google.content("shop-temp", "").items() if item[0].endswith(".whl")]  # fmt: skip
    staged = tmp_path / pathlib.PurePosixPath(name).name
    staged.write_bytes(data)
    python = clean_environment(tmp_path / "worker", staged)
    for variable, value in shop.environment.items():
        monkeypatch.setenv(variable, value)
    for environment in pipeline.components.environments.values():
        environment.urn = python_urns.SUBPROCESS_SDK
        environment.payload = f"{python} -m apache_beam.runners.worker.sdk_worker_main".encode()
        del environment.dependencies[:]
    in_process_runner(PipelineOptions([])).run_via_runner_api(pipeline, PipelineOptions([]))
    assert shop.dataset() == expected


def test_a_worker_without_the_package_is_found_out(pipeline, tmp_path):
    python = clean_environment(tmp_path / "bare", None)
    for environment in pipeline.components.environments.values():
        environment.urn = python_urns.SUBPROCESS_SDK
        environment.payload = f"{python} -m apache_beam.runners.worker.sdk_worker_main".encode()
        del environment.dependencies[:]
    with pytest.raises(RuntimeError, match="No module named 'retrolabel'"):
        in_process_runner(PipelineOptions([])).run_via_runner_api(pipeline, PipelineOptions([]))


def test_the_staged_wheel_holds_the_files_of_the_installed_one(shop, pipeline, wheel, tmp_path):
    (data,) = [data for name, data in shop.google.content("shop-temp", "").items() if name.endswith(".whl")]
    (tmp_path / "staged.whl").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "staged.whl") as staged, zipfile.ZipFile(wheel) as built:
        assert set(built.namelist()) <= set(staged.namelist())


def test_a_translation_says_that_nothing_was_run(shop, expected):
    for name in shop.dataset():
        shop.google.objects.pop(("shop-data", name))
    translated = shop.on_dataflow("--dry_run=True")
    assert (translated.returncode, translated.stdout) == (0, f"shoes {DAY.date()}: translated, not run\n"), (
        translated.stderr
    )
    assert shop.dataset() == {}


def test_the_launcher_of_the_flex_template_leaves_the_job_where_the_template_service_looks(shop, pipeline):
    for path in shop.config.parent.glob("*.*"):
        if path.suffix in (".yaml", ".avsc"):
            shop.google.store("shop-config", f"daily/{path.name}", path.read_bytes())
    place = "gs://shop-temp/template_launches/1/job_object"
    launch = [str(shop.python), str(LAUNCH), "--config=gs://shop-config/daily/shoes.yaml", f"--date={DAY.date()}", "--runner=DataflowRunner",
              "--project=shop-project", "--region=europe-west1", "--temp_location=gs://shop-temp/tmp", f"--template_location={place}",
              "--sdk_container_image=europe-docker.pkg.dev/shop/images/retrolabel:1"]  # fmt: skip
    launched = subprocess.run(
        launch, env=shop.environment, cwd=shop.config.parent, capture_output=True, text=True, check=False
    )
    assert launched.returncode == 0, launched.stderr
    job = json.loads(shop.google.content("shop-temp", "template_launches/1/")["template_launches/1/job_object"])
    images = [image["containerImage"] for image in job["environment"]["workerPools"][0]["sdkHarnessContainerImages"]]
    assert set(images) == {"europe-docker.pkg.dev/shop/images/retrolabel:1"}


def test_the_metadata_of_the_flex_template_describes_the_parameters_of_its_launcher():
    parameters = {
        parameter["name"]: parameter
        for parameter in json.loads((LAUNCH.parent / "metadata.json").read_text())["parameters"]
    }
    accepted = set(re.findall(r'add_argument\("--(\w+)"', LAUNCH.read_text()))
    assert set(parameters) == accepted
    for example, name in (
        ("gs://shop-config/daily/shoes.yaml", "config"),
        ("2026-11-20", "date"),
        ("click=2026-11-22T00:00:00Z", "outcomes_complete_until"),
    ):
        assert all(re.fullmatch(pattern, example) for pattern in parameters[name]["regexes"]), name
        assert not any(re.fullmatch(pattern, "shoes") for pattern in parameters[name]["regexes"]), name


def test_paths_of_this_machine_are_refused_with_their_places(shop):
    shop.config.with_name("here.yaml").write_text(
        shop.config.read_text().replace("gs://shop-data/datasets", "datasets")
    )
    command = [sys.executable, "-m", "retrolabel", "build", str(shop.config.with_name("here.yaml")), "--date", str(DAY.date()), "--",
               "--runner", "DataflowRunner", "--setup_file", "./setup.py"]  # fmt: skip
    refused = subprocess.run(command, env=shop.environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "output.path" in refused.stderr or "here.yaml:" in refused.stderr
    assert "'datasets' is on this machine" in refused.stderr
    assert "--temp_location" in refused.stderr
