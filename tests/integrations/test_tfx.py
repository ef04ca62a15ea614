"""TFX's own code finds spans, versions and splits in what `on_publish.tfx` makes, and TensorFlow reads the examples.

`ImportExampleGen` itself needs ml-metadata of a release that has no wheels; this is the part of it that looks for files.
"""

import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.test_hooks import run, shop
from tests.support.daily import serve

PYTHON = Path(__file__).parents[2] / "build/tfx/bin/python"

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs TFX in build/tfx: make schedulers"),
]

READ = """
import glob, importlib.util, json, os, sys
import tensorflow as tf
from tfx.proto import example_gen_pb2, range_config_pb2

# By its file: the package around it imports components whose dependencies are not installed.
place = os.path.join(next(p for p in sys.path if p.endswith("site-packages")), "tfx/components/example_gen/utils.py")
spec = importlib.util.spec_from_file_location("utils", place)
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

def look(base, span):
    split = example_gen_pb2.Input.Split(name="all", pattern="{YYYY}-{MM}-{DD}/version-{VERSION}/all/*")
    static = range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
    chosen = range_config_pb2.RangeConfig(static_range=static) if span else None
    _, found, version = utils.calculate_splits_fingerprint_span_and_version(base, [split], chosen)
    examples = [tf.train.Example.FromString(record.numpy()) for path in glob.glob(os.path.join(base, split.pattern))
                for record in tf.data.TFRecordDataset(path)]
    ids = sorted(example.features.feature["id"].bytes_list.value[0].decode() for example in examples)
    return {"span": found, "version": version, "ids": ids}

print(json.dumps([look(sys.argv[1], int(span)) for span in sys.argv[2:]]))
"""


def test_tfx_finds_the_newest_version_of_a_span_and_tensorflow_reads_it(tmp_path):
    folder = shop(tmp_path, "output: {format: tfrecord}\non_publish: {tfx: spans}\n")
    run(folder, "--to", "2026-11-21")
    serve(folder, "2026-11-20", range(2), name="served-late")
    late = folder / "logs/2026/11/20/served-late.json"
    late.write_text(late.read_text().replace('"2026-11-20/', '"late/'))
    run(folder, "--to", "2026-11-21")
    command = [str(PYTHON), "-c", READ, str(folder / "spans"), "0", "20777"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    newest, pinned = json.loads(done.stdout.splitlines()[-1])
    assert (newest["span"], newest["version"]) == (20778, 2)  # days since 1970: 2026-11-21
    assert newest["ids"] == [f"2026-11-21/{hour:02}" for hour in range(24)]
    assert (pinned["span"], pinned["version"], len(pinned["ids"])) == (20777, 3, 26)
