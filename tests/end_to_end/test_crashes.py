"""Commands that are killed, refused, cut short or held up at each of their calls of the file system.

Whatever happens, what can be read is whole; the trouble is told in plain words; and the same command, run again, ends in the bytes of one that
met none. The short forms take a few of the calls, the long ones all. A reader looks after every call: what a process killed before its next
call leaves is what a reader sees in between.
"""

import dataclasses
import errno
import math
import os
import pathlib
import random
import shutil
import signal
import time

import pytest

from retrolabel.pipelines.run_command import NOTHING_TO_DO
from retrolabel.transforms.dataset import read_day_manifest, read_version, version_numbers
from retrolabel.transforms.verify import verify
from tests.end_to_end.test_versions import DATE, files_of
from tests.support.daily import click, make_shop, midnight, serve
from tests.support.faults import CHANGES, KEY, NEEDS_SPACE, READS, Ended, Fault, Kind, What, Workshop
from tests.support.messy import write_logs

MOMENTS = int(os.environ.get("RETROLABEL_TEST_MOMENTS", "300"))
"""At which builds are killed at random."""

EVERY = int(os.environ.get("RETROLABEL_TEST_EVERY", "1"))
"""Of the calls, the long forms take every so many-th: all by default."""

TOLD = (0, 4, 7, 10)
"""Exit codes of a command that met trouble with files: it did not matter, input or storage is told, or that a hook failed."""


def turns(calls: int) -> range:
    """The calls that a long form takes: all, or a sample that ends with the last."""
    return range((calls - 1) % EVERY, calls, EVERY)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    opened = Workshop(tmp_path_factory.mktemp("workshop"))
    yield opened
    opened.close()


def whole(root: pathlib.Path, *, newest: bool = False) -> list[int]:
    """The versions that there are; every file of every one, or of the newest, must be what its manifest says."""
    numbers = version_numbers(str(root))
    for number in numbers[-1:] if newest else numbers:
        for path in read_version(str(root), number).days.values():
            assert list(verify(str(root), read_day_manifest(str(root), path))) == []
    return numbers


@dataclasses.dataclass
class Scene:
    """A project, a command, and what the command makes of the project when nothing happens."""

    workshop: Workshop
    project: pathlib.Path
    """Where the project stands while the command runs: built datasets name no other place."""
    name: str
    command: tuple[str, ...]
    changes: int = 0
    """How many calls of the command change the dataset's folder."""
    expected: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.project.rename(self.before)
        self.changes = self.calls(self.root, CHANGES)
        self.expected = self.swept()

    @property
    def before(self) -> pathlib.Path:
        return self.project.with_name("before")

    @property
    def root(self) -> pathlib.Path:
        return self.project / "datasets" / self.name

    @property
    def logs(self) -> pathlib.Path:
        return self.project / "logs"

    def restore(self) -> None:
        """Puts everything back as it was before the command ran."""
        shutil.rmtree(self.project, ignore_errors=True)
        shutil.copytree(self.before, self.project)

    def run(self, fault: Fault | None = None) -> Ended:
        return self.workshop.run(*self.command, fault=fault)

    def calls(self, below: pathlib.Path, kinds: Kind) -> int:
        """How many calls of some kinds the command makes when nothing happens."""
        self.restore()
        ended = self.run(Fault(below, kinds))
        assert ended.code == 0, ended
        return ended.calls

    def swept(self) -> dict[str, str]:
        """What is there once `gc` has removed what no version lists, but for the lock of runs."""
        assert self.workshop.run("gc", str(self.root), "--older-than", "0s").code == 0
        return {path: digest for path, digest in files_of(self.root).items() if path != "_tmp/run.lock"}

    def meets(self, fault: Fault) -> Ended:
        """Lets something happen; looks at what can be read then, at what is told, and at what the next run makes of it."""
        self.restore()
        there = whole(self.root)
        ended = self.run(fault)
        now = whole(self.root)
        assert now[-1:] >= there[-1:], (fault, ended)
        if fault.what in (What.KILL, What.TEAR):
            # Threads make a call more or less from run to run: the last one may never have come.
            assert ended.code == -signal.SIGKILL or ended.calls <= fault.turn, (fault, ended)
        else:
            assert ended.code in TOLD, (fault, ended)
            assert "Traceback" not in ended.output, (fault, ended)
            assert (ended.code != 0) == any(words in ended.output for words in ("error: ", "failed: ")), (fault, ended)
            assert ended.code != 0 or now != there, (fault, ended)
        again = self.run()
        assert again.code in (0, NOTHING_TO_DO), (fault, ended, again)
        wrong = {path for path, _ in self.swept().items() ^ self.expected.items()}
        if (
            "warning: " in ended.output
        ):  # views that could not be written, which `retrolabel report` and `card` can show all the same
            wrong = {path for path in wrong if not path.startswith(("_reports/", "croissant-"))}
        assert not wrong, (fault, ended, wrong)
        return ended


def a_shop(workshop: Workshop, folder: pathlib.Path, *built: str) -> Scene:
    """A project and the build of one of its days, for the first time or after other builds."""
    (folder / "shop").mkdir()
    write_logs(folder / "shop", seed=5, predictions=150)
    command = ("build", str(folder / "shop/shoes.yaml"), "--date", DATE)
    if built:
        assert workshop.run(*command).code == 0
    return Scene(workshop, folder / "shop", "shoes", (*command, *built))


@pytest.fixture(scope="module")
def first(workshop, tmp_path_factory):
    """The first build of a dataset."""
    return a_shop(workshop, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def again(workshop, tmp_path_factory):
    """Another build of a day, which is compared with the one before."""
    return a_shop(workshop, tmp_path_factory.mktemp("again"), "--outcomes-complete-until", "2026-12-01")


@pytest.fixture(scope="module")
def daily(workshop, tmp_path_factory):
    """A day's run that publishes, tells, and removes old versions with their files."""
    shop = tmp_path_factory.mktemp("daily") / "shop"
    config = make_shop(shop, "retention: {versions: 1, days: 2}\non_publish: {file: told.json}\n")
    for day in (20, 21, 22, 23):
        serve(shop, f"2026-11-{day}")
        click(shop, f"2026-11-{day}")
    assert workshop.run("run", config, "--now", "2026-11-23T12:00:00Z").code == 0
    for path in shop.rglob("*"):
        os.utime(path, (midnight("2026-11-21").timestamp(),) * 2)
    return Scene(workshop, shop, "shop", ("run", config, "--now", "2026-11-24T12:00:00Z"))


@pytest.fixture(scope="module")
def forgotten(workshop, tmp_path_factory):
    """The erasure of a person from two versions of a day."""
    shop = tmp_path_factory.mktemp("forgotten") / "shop"
    shop.mkdir()
    write_logs(shop, seed=5, predictions=150)
    config = shop / "shoes.yaml"
    config.write_text(config.read_text() + f"privacy: {{key: {{env: {KEY}}}}}\n")
    for more in ((), ("--outcomes-complete-until", "2026-12-01")):
        assert workshop.run("build", str(config), "--date", DATE, *more).code == 0
    return Scene(workshop, shop, "shoes", ("forget", str(config), "--subject", "user_id=u7"))


SCENES = ("first", "again", "daily", "forgotten")


@pytest.fixture
def scene(request):
    """The one that a test names."""
    return request.getfixturevalue(request.param)


def test_killed_before_a_change_or_in_the_middle_of_a_write_it_is_healed(first):
    for turn in (0, first.changes // 2, first.changes - 1):
        first.meets(Fault(first.root, CHANGES, What.KILL, turn))
    first.meets(Fault(first.root, Kind.WRITE, What.TEAR, 20))


def test_a_daily_run_that_is_killed_is_healed(daily):
    for turn in (daily.changes // 3, daily.changes - 3):
        daily.meets(Fault(daily.root, CHANGES, What.KILL, turn))


def test_an_erasure_that_is_killed_is_finished_by_calling_it_again(forgotten):
    for turn in (forgotten.changes // 4, forgotten.changes // 2, forgotten.changes * 3 // 4):
        forgotten.meets(Fault(forgotten.root, CHANGES, What.KILL, turn))


def test_a_full_disk_is_told_and_leaves_nothing_but_what_gc_sweeps(first):
    ended = first.meets(Fault(first.root, Kind.WRITE, What.FAIL, 5, lasting=True, error=errno.ENOSPC))
    assert ended.code == 7
    assert "the disk is full" in ended.output


def test_a_commit_that_is_made_though_an_error_is_told_is_found_by_the_next_build(first):
    assert first.meets(Fault(first.root, Kind.LINK, What.AFTER, error=errno.EIO)).code == 7


def test_a_log_that_cannot_be_read_to_its_end_is_no_shorter_log(first):
    for what in (What.FAIL, What.END):
        assert first.meets(Fault(first.logs, Kind.READ, what, 6, lasting=True, error=errno.EIO)).code != 0


def test_reads_and_writes_that_do_half_change_nothing(first):
    assert first.meets(Fault(first.project, Kind.READ | Kind.WRITE, What.SHORT, lasting=True)).code == 0


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_the_file_system_has_no_locks_a_run_says_so_and_goes_on(daily, error):
    daily.restore()
    ended = daily.run(Fault(daily.root, Kind.LOCK, What.FAIL, error=error))
    assert (ended.code, ended.calls) == (0, 1), ended
    assert "warning: the file system of " in ended.output
    assert "has no locks" in ended.output
    assert daily.swept() == daily.expected


def test_where_the_file_system_has_no_locks_an_erasure_keeps_others_out_as_on_an_object_store(forgotten):
    ended = forgotten.meets(Fault(forgotten.root, Kind.LOCK, What.FAIL, error=errno.ENOLCK))
    assert (ended.code, ended.calls) == (0, 1), ended
    assert not (forgotten.root / "_receipts/at-work").exists()


def test_a_lock_that_fails_otherwise_is_told(daily):
    ended = daily.meets(Fault(daily.root, Kind.LOCK, What.FAIL, error=errno.EIO))
    assert ended.code == 7
    assert "cannot lock" in ended.output


def test_a_handle_that_went_stale_on_a_network_file_system_is_told_as_storage(first):
    for kinds in (Kind.CREATE, Kind.SYNC, Kind.LINK, Kind.LIST):
        ended = first.meets(Fault(first.root, kinds, What.FAIL, 0, lasting=True, error=errno.ESTALE))
        assert ended.code == 7, ended
        assert "the file system took it away" in ended.output, ended


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, indirect=True)
def test_killed_before_every_change(scene):
    for turn in turns(scene.changes):
        scene.meets(Fault(scene.root, CHANGES, What.KILL, turn))
    print(f"\n{scene.name}: killed before {len(turns(scene.changes))} of {scene.changes} changes: all healed")


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, indirect=True)
def test_killed_in_the_middle_of_every_write(scene):
    calls = scene.calls(scene.root, Kind.WRITE)
    for turn in turns(calls):
        scene.meets(Fault(scene.root, Kind.WRITE, What.TEAR, turn))
    print(f"\n{scene.name}: killed in the middle of {len(turns(calls))} of {calls} writes: all healed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "kinds", "what", "error", "lasting"),
    [
        pytest.param("root", CHANGES, What.FAIL, errno.EIO, False, id="refused"),
        pytest.param("root", CHANGES, What.AFTER, errno.EIO, False, id="done_and_refused"),
        pytest.param("root", NEEDS_SPACE, What.FAIL, errno.ENOSPC, True, id="full"),
        pytest.param("root", CHANGES, What.FAIL, errno.EACCES, True, id="denied"),
        pytest.param("root", READS, What.FAIL, errno.EIO, False, id="unreadable"),
        pytest.param("logs", READS, What.FAIL, errno.EIO, False, id="unreadable_logs"),
        pytest.param("logs", Kind.READ, What.END, 0, False, id="logs_that_break_off"),
    ],
)
@pytest.mark.parametrize("scene", SCENES, indirect=True)
def test_every_call_that_fails_is_told(scene, place, kinds, what, error, lasting):
    below = getattr(scene, place)
    calls = scene.calls(below, kinds)
    codes = [scene.meets(Fault(below, kinds, what, turn, lasting, error)).code for turn in turns(calls)]
    print(
        f"\n{scene.name}: {len(codes)} of {calls} calls failed, {codes.count(0)} of them did not matter: all told, all healed"
    )


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, indirect=True)
def test_a_slow_disk_changes_nothing(scene):
    assert scene.meets(Fault(scene.project, CHANGES | READS, What.DELAY, lasting=True)).code == 0


def beside_a_reader(scene: Scene, part: int = 0, seconds: float = math.inf) -> tuple[int, list[float]]:
    """Starts the command, and reads the newest version until so many seconds of a part of its run are over, or it ends.

    Gives its process, and when (seconds) its parts began: it starts, its first part file is there, its version is there; and when this ended.
    """

    def stored() -> set[pathlib.Path]:
        return set(scene.root.glob("2*/*"))

    builds, versions = stored(), version_numbers(str(scene.root))[-1:]
    process, started, begun = scene.workshop.start(*scene.command), time.monotonic(), [0.0]
    while True:
        ran = time.monotonic() - started
        if len(begun) == 1 and stored() != builds:
            begun.append(ran)
        if len(begun) == 2 and version_numbers(str(scene.root))[-1:] != versions:
            begun.append(ran)
        if (len(begun) > part and ran - begun[part] >= seconds) or scene.workshop.has_ended(process):
            return process, [*begun, ran]
        whole(scene.root, newest=True)


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["first", "daily"], indirect=True)
def test_killed_at_random_moments_while_a_reader_reads(scene):
    """A third of the moments lie anywhere in a run, a third after its first part file, a third after its commit: report, hooks, retention.

    How long these take is measured anew now and then: others use the machine too.
    """
    random_, killed, published, late = random.Random(1), 0, 0, 0
    begun: list[float] = []
    scene.restore()
    there = whole(scene.root)
    for moment in range(MOMENTS):
        if moment % 15 == 0:
            scene.restore()
            process, begun = beside_a_reader(scene)
            assert scene.workshop.end(process).code == 0
        scene.restore()
        part = moment % 3
        process, _ = beside_a_reader(scene, part, random_.uniform(0, begun[-1] - begun[part]))
        os.kill(process, signal.SIGKILL)
        was_killed = scene.workshop.end(process).code == -signal.SIGKILL
        is_published = whole(scene.root)[-1:] != there[-1:]
        killed, published, late = killed + was_killed, published + is_published, late + (was_killed and is_published)
        assert scene.run().code in (0, NOTHING_TO_DO)
        assert scene.swept() == scene.expected
    assert killed > MOMENTS / 3
    assert late > MOMENTS / 10
    assert published < MOMENTS
    print(
        f"\n{scene.name}: killed at {killed} of {MOMENTS} random moments, {late} of them after it had published: all healed"
    )
