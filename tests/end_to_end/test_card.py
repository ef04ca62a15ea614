"""The data card of a version: what it says agrees with the manifest and the files."""

import datetime
import hashlib
import json

from click.testing import CliRunner

from retrolabel.pipelines.build_command import run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.runner import choose_runner
from tests.end_to_end.test_privacy import DAY, KEY, write_project

CARD = 'card: {description: Shoes, purpose: "Training a ranking", license: CC-BY-4.0}\n'


def test_every_build_leaves_the_card_and_an_erasure_writes_it_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", KEY)
    config = write_project(tmp_path / "project")
    run = CliRunner().invoke
    assert run(commands, ["build", str(config), "--date", DAY]).exit_code == 0
    root = tmp_path / "project/datasets/shop"
    left = json.loads((root / "croissant-00000001.json").read_text())
    assert left == json.loads(run(commands, ["card", str(root)]).output)
    (consent,) = left["rai:dataManipulationProtocol"]
    assert "only predictions whose field 'consented' is true; on 2026-11-20 2 rows were dropped" in consent

    forgotten = run(commands, ["forget", str(config), "--subject", "user=canary-user-4"])
    assert forgotten.exit_code == 0, forgotten.output
    card = json.loads((root / "croissant-00000001.json").read_text())
    files = [one for one in card["distribution"] if one["@type"] == "cr:FileObject"]
    stored = [hashlib.sha256((root / file["contentUrl"]).read_bytes()).hexdigest() for file in files]
    assert stored == [file["sha256"] for file in files]
    assert card["rai:dataManipulationProtocol"][-1].endswith(": 1 row.")


def test_a_card_tells_files_fields_sensitivity_purpose_and_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", KEY)
    config = write_project(tmp_path / "project")
    config.write_text(config.read_text() + CARD)
    contract = tmp_path / "project/served.avsc"
    contract.write_text(contract.read_text().replace('"name": "item", ', '"name": "item", "doc": "The shoe.", '))
    plan, inputs = plan_build(check_project(str(config)), datetime.date.fromisoformat(DAY), {}, in_process=True)
    run_pipeline(plan, inputs, choose_runner([]))

    root = tmp_path / "project/datasets/shop"
    told = CliRunner().invoke(commands, ["card", str(root)])
    assert told.exit_code == 0, told.output
    assert "canary" not in told.output
    card = json.loads(told.output)
    assert card["conformsTo"][0] == "http://mlcommons.org/croissant/1.0"
    assert (card["name"], card["version"], card["description"], card["license"]) == (
        "shop",
        "1.0.0",
        "Shoes",
        "CC-BY-4.0",
    )
    assert card["rai:dataUseCases"] == "Training a ranking"
    assert "predictions.user: a keyed hash" in card["rai:personalSensitiveInformation"]
    assert "predictions.staff_note: not in the dataset" in card["rai:personalSensitiveInformation"]
    assert "2 without consent" in card["rai:dataCollection"]

    files = [one for one in card["distribution"] if one["@type"] == "cr:FileObject"]
    sets = {one["@id"]: one for one in card["distribution"] if one["@type"] == "cr:FileSet"}
    assert len(files) >= 2
    for file in files:
        assert hashlib.sha256((root / file["contentUrl"]).read_bytes()).hexdigest() == file["sha256"]
    assert sorted(path for found in sets.values() for path in found["includes"]) == sorted(
        file["@id"] for file in files
    )
    assert {one["name"] for one in card["recordSet"]} == {"train", "test"}
    for records in card["recordSet"]:
        fields = {field["name"]: field for field in records["field"]}
        assert "staff_note" not in fields
        assert fields["item"]["description"] == "The shoe. No personal data by its contract."
        assert fields["user"]["description"] == "Personal data: a keyed hash."
        assert fields["clicked"]["description"] == "Label: any of click, from then to 1h after the prediction."
        assert (fields["clicked"]["dataType"], fields["phones"]["repeated"]) == ("sc:Boolean", True)
        assert all(field["source"]["fileSet"]["@id"] in sets for field in fields.values())
