"""Reports of published days, and of builds, read by a browser."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retrolabel.pipelines import build_command
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.report.material import gather
from retrolabel.pipelines.report.page import SECTIONS, render
from retrolabel.pipelines.runner import choose_runner
from tests.support.chromium import Page, browser, find
from tests.support.messy import DAY, write_logs
from tests.support.shop_days import World, publish_days

ATTACK = "</script></style><img src=http://evil.example/x onerror=alert(1)><svg onload=alert(2)>\"'><script>alert(3)</script>\u202egnp\x1b[31m"


@pytest.fixture(scope="module")
def page() -> Page:
    executable = find()
    if executable is None:
        pytest.skip("no Chromium on this machine (apt install chromium, or CHROMIUM=/path/to/one)")
    with browser(executable) as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Twelve days; from the ninth on another device is more frequent."""
    root = tmp_path_factory.mktemp("shop")
    publish_days(root, 12, world=lambda day: World(ios=0.3 if day < 8 else 0.42))
    return root


def opened(page: Page, root: Path, folder: Path, width: int = 1200, **screen: object) -> Page:
    path = folder / "report.html"
    path.write_text(render(gather(str(root))))
    page.screen(width, 900, **screen)
    page.open(path)
    return page


def text_of(page: Page, selector: str) -> str:
    return page.run(f"document.querySelector({selector!r}).innerText")


def test_a_browser_shows_every_section_without_a_complaint_or_a_request(page, shop, tmp_path):
    opened(page, shop, tmp_path)
    assert page.complaints == []
    assert page.requests == []
    headings = page.run("[...document.querySelectorAll('h2')].map(h => h.innerText)")
    configured = ("model", "anonymity")  # of `monitor` and `anonymity`, which this config lacks
    assert headings == [heading for anchor, heading, _ in SECTIONS if anchor not in configured]
    assert page.run("document.querySelectorAll('.feature svg').length") == 5  # of the key there is no distribution
    assert page.run(
        "[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.getAttribute('href')))"
    )


def test_the_top_says_whether_the_day_is_good_what_changed_and_what_to_do(page, shop, tmp_path):
    opened(page, shop, tmp_path)
    top = text_of(page, ".top")
    assert top.startswith("Good, with something to look at")
    assert "4,000 examples of 4,300 predictions" in top
    assert "300 predictions (7.0%) are immature" in top
    assert "Build the day again once the outcome logs reach 2026-11-13 23:00 UTC" in top
    assert "device changed since 2026-11-09" in top
    assert "device: Unexpected string values" in top
    assert page.run("document.querySelector('.top').getBoundingClientRect().bottom") < 900


def test_a_day_without_anything_to_say_is_good(page, tmp_path):
    publish_days(tmp_path / "calm", 1, closed=True, rejected=0)
    opened(page, tmp_path / "calm", tmp_path)
    assert text_of(page, ".verdict") == "Good"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(page, shop, tmp_path, scheme):
    """Contrast of at least 4.5 for all text (WCAG 2, 1.4.3)."""
    opened(page, shop, tmp_path, scheme=scheme)
    low = page.run("""(() => {
      const lightness = colour => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
      };
      const page = lightness(getComputedStyle(document.body).backgroundColor), low = [];
      for (const shown of document.querySelectorAll('body *')) {
        if (![...shown.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) || shown.tagName === 'SCRIPT') continue;
        const style = getComputedStyle(shown), own = lightness(shown.closest('svg') ? style.fill : style.color);
        const contrast = (Math.max(own, page) + .05) / (Math.min(own, page) + .05);
        if (contrast < 4.5) low.push([shown.outerHTML.slice(0, 80), contrast]);
      }
      return low;
    })()""")
    assert low == []
    assert (
        page.run("getComputedStyle(document.body).backgroundColor")
        == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 27)"}[scheme]
    )


def test_a_phone_needs_no_sideways_scrolling_and_print_no_colours_of_the_night(page, shop, tmp_path):
    opened(page, shop, tmp_path, width=360, mobile=True)
    assert page.run("document.documentElement.scrollWidth") == 360
    assert (
        page.run(
            "Math.min(...[...document.querySelectorAll('.flow text, .wide text')].map(t => t.getBoundingClientRect().height))"
        )
        >= 11
    )
    opened(page, shop, tmp_path, scheme="dark", media="print")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_what_stands_in_a_log_is_inert(page, tmp_path):
    publish_days(tmp_path / "attacked", 3, text=ATTACK)
    opened(page, tmp_path / "attacked", tmp_path)
    assert page.complaints == []
    assert page.requests == []
    assert (
        page.run("document.querySelectorAll('img, script, iframe, object, [onload], [onerror]').length") == 1
    )  # our own script
    assert "<img src=http://evil.example/x onerror=alert(1)>" in text_of(page, "main")
    assert text_of(page, ".verdict") == "Not good"
    written = (tmp_path / "report.html").read_text()
    assert "\u202e" not in written
    assert "\x1b" not in written


def test_even_injected_markup_could_not_run_or_load_anything(page, shop, tmp_path):
    """The page's policy alone: as if an escape had been forgotten."""
    broken = render(gather(str(shop))).replace(
        "<main>", "<main><script>document.title = 'owned'</script><img src='http://evil.example/x'>"
    )
    (tmp_path / "broken.html").write_text(broken)
    page.open(tmp_path / "broken.html")
    assert "owned" not in page.run("document.title")
    assert len(page.complaints) == 2  # the policy refused both


def test_values_of_a_megabyte_do_not_swell_the_page(page, tmp_path):
    publish_days(tmp_path / "long", 2, rows=20, text="x" * 2**20)
    opened(page, tmp_path / "long", tmp_path)
    assert page.complaints == []
    assert (tmp_path / "report.html").stat().st_size < 200_000
    assert re.search(r"\(1,048,\d{3} characters\)", text_of(page, "main"))
    assert page.run("document.documentElement.scrollWidth") <= 1200


def test_five_hundred_columns_are_one_small_page_in_which_one_finds_a_column(page, tmp_path):
    publish_days(tmp_path / "wide", 2, rows=200, extra=494)
    opened(page, tmp_path / "wide", tmp_path)
    assert page.complaints == []
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
    assert page.run("document.querySelectorAll('.feature').length") == 500
    page.run(
        "(find => { find.value = 'FEATURE_123'; find.dispatchEvent(new Event('input')); })(document.getElementById('find'))"
    )
    shown = "[...document.querySelectorAll('.feature')].filter(f => f.offsetParent).map(f => f.querySelector('b').textContent)"
    assert page.run(shown) == ["feature_123"]


def test_a_version_without_statistics_has_a_report_too(page, tmp_path):
    publish_days(tmp_path / "plain", 3, statistics=False, closed=True)
    opened(page, tmp_path / "plain", tmp_path)
    assert page.complaints == []
    assert "price\ndouble" in text_of(page, "#features")
    assert page.run("document.querySelectorAll('.feature svg').length") == 0


def test_the_flow_accounts_for_every_line(shop):
    made = render(gather(str(shop)))
    (flow,) = re.findall(r'aria-label="([^"]*examples[^"]*)"', made)
    assert flow == "4,402 lines, 12 rejected; 4,390 parsed, 90 duplicate; 4,300 unique, 300 immature; 4,000 examples"


def test_the_same_version_gives_the_same_bytes(shop):
    assert render(gather(str(shop))) == render(gather(str(shop)))
    assert render(gather(str(shop), 12, against=3)) != render(gather(str(shop), 12))


@pytest.fixture
def built(tmp_path):
    write_logs(tmp_path, seed=1)
    return build_command.build_day(check_project(str(tmp_path / "shoes.yaml")), DAY.date(), {}, choose_runner([]))


def test_labels_are_told_for_each_part_of_the_split(built, tmp_path):
    root = tmp_path / "datasets/shoes"
    (row,) = re.findall(r"<tr><th[^>]*>clicked</th>(.*?)</tr>", render(gather(str(root), 1)))
    cells = re.findall(r"<td[^>]*>(?:<span>)?([^<]*)", row)
    labels = [built.manifest.splits[name]["labels"]["clicked"]["values"] for name in ("train", "eval", "test")]
    shares = sorted(f"{100 * found['true'] / sum(found.values()):.1f}% true" for found in labels)
    assert sorted(cells[2:]) == shares


def test_every_build_writes_the_report_of_its_version(built, tmp_path, page):
    root = tmp_path / "datasets/shoes"
    assert built.report == "_reports/00000001.html"
    assert (root / built.report).read_text() == render(gather(str(root), 1))
    page.open(root / built.report)
    assert page.complaints == []
    assert "still to come" in text_of(page, "#delays")


def test_a_build_that_was_killed_before_its_report_is_given_one_by_the_next(built, tmp_path):
    report = tmp_path / "datasets/shoes" / built.report
    before = report.read_bytes()
    report.unlink()
    again = build_command.build_day(check_project(str(tmp_path / "shoes.yaml")), DAY.date(), {}, choose_runner([]))
    assert not again.published.is_new
    assert report.read_bytes() == before


def test_a_report_that_cannot_be_written_does_not_fail_a_published_build(tmp_path, capsys):
    write_logs(tmp_path, seed=1)
    (tmp_path / "datasets/shoes").mkdir(parents=True)
    (tmp_path / "datasets/shoes/_reports").write_text("a file where a folder should be")
    built = build_command.build_day(check_project(str(tmp_path / "shoes.yaml")), DAY.date(), {}, choose_runner([]))
    assert built.published.is_new
    assert built.report is None
    assert "warning: published, but its report could not be written" in capsys.readouterr().err


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "retrolabel", *arguments], capture_output=True, text=True, check=False)


def test_the_command_writes_one_file_and_knows_versions_and_days(shop, tmp_path):
    made = run("report", f"{shop}@12", "--against", "3", "-o", str(tmp_path / "r.html"))
    assert (made.returncode, made.stderr) == (0, "")
    assert "compared with 2026-11-03 of version 3" in (tmp_path / "r.html").read_text()
    missing = run("report", str(shop), "--date", "2027-01-01", "-o", str(tmp_path / "r.html"))
    assert missing.returncode == 4
    assert "has no day 2027-01-01" in missing.stderr


def test_gc_keeps_the_reports_of_versions_and_sweeps_others(shop, tmp_path):
    root = shutil.copytree(shop, tmp_path / "shop")
    (root / "_reports").mkdir()
    for name in ("00000012.html", "00000099.html", "mine.html"):
        (root / "_reports" / name).write_text("a report")
    assert run("gc", str(root), "--older-than", "0s").returncode == 0
    assert sorted(path.name for path in (root / "_reports").iterdir()) == ["00000012.html", "mine.html"]
