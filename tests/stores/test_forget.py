"""A person is forgotten on an object store, which has no rename, no links and no lock of its own."""

import json

import pytest

import retrolabel
from retrolabel.pipelines.forgetting import _alone
from retrolabel.schemas.errors import InputError
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_day_manifest, read_version, version_numbers
from retrolabel.transforms.verify import verify
from tests.end_to_end.test_mixed_delivery import DATE, lines
from tests.end_to_end.test_versions import run
from tests.stores.test_stores import shop  # noqa: F401 - a fixture

pytestmark = pytest.mark.stores


def test_a_person_is_gone_from_every_version_on_a_store_and_stays_out(shop, store, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SHOP_KEY", "k" * 32)
    config, root = shop / "shoes.yaml", f"{store}/datasets/shoes"
    config.write_text(config.read_text() + "privacy: {key: {env: SHOP_KEY}}\n")
    run("build", str(config), "--date", str(DATE))
    storage.write_once(f"{store}/clicks/b.json", lines(4).encode())
    run("build", str(config), "--date", str(DATE))
    found = json.loads(run("forget", str(config), "--subject", "id=200300", "--json"))
    assert (found["examples"], found["version"], found["mentions"]) == (2, 3, [])
    for number in version_numbers(root):
        rows = retrolabel.load(root, version=number).to_table().column("id").to_pylist()
        assert sorted(rows) == ["200200", "200400"]
        manifest = read_day_manifest(root, read_version(root, number).days[str(DATE)])
        assert list(verify(root, manifest)) == []
    stored = [path for path in storage.list_files(root) if path.endswith(".parquet") and "/rejects/" not in path]
    assert len(stored) == len({part.path for number in version_numbers(root) for part in read_day_manifest(root, read_version(root, number).days[str(DATE)]).files if part.path.endswith(".parquet")})  # fmt: skip
    assert "nothing changed" in run("build", str(config), "--date", str(DATE))
    again = json.loads(run("forget", root, "--subject", "id=200300", "--json"))
    assert (again["version"], again["published"], again["removed_files"]) == (3, False, 0)


@pytest.mark.parametrize("store", ["s3", "azfs", "hdfs"], indirect=True)
def test_another_erasure_is_refused_until_the_first_is_finished(store):
    root = f"{store}/datasets/shoes"
    with _alone(root, "1" * 16):
        with _alone(root, "1" * 16):  # that of one that was killed, called again
            pass
        assert not storage.list_files(f"{root}/_receipts")
    storage.create_if_absent(f"{root}/_receipts/at-work", b"1" * 16)
    with pytest.raises(InputError, match=f"the erasure for receipt {'1' * 16} is at work, or was killed"):
        _alone(root, "2" * 16).__enter__()
