"""What the Flex Template's launcher runs: `retrolabel build` with a config that stands in a bucket.

The launcher gives every parameter as `--name=value`. Those of metadata.json are ours; all others are Beam's.
"""

import argparse
import os
import sys
import tempfile

from retrolabel.pipelines.cli import main
from retrolabel.transforms.storage import join, list_files, read_bytes


def fetch_config(url: str, folder: str) -> str:
    """Copies a config, and the contracts and schemas beside it, to a folder of this machine; returns the config's path there."""
    parent, _, name = url.rpartition("/")
    for path in list_files(parent):
        if path.endswith((".yaml", ".yml", ".avsc", ".pbtxt")):
            target = os.path.join(folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(read_bytes(join(parent, path)))
    return os.path.join(folder, name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--outcomes_complete_until")
    arguments, beam_options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        command = ["build", fetch_config(arguments.config, folder), "--date", arguments.date]
        if arguments.outcomes_complete_until:
            command += ["--outcomes-complete-until", arguments.outcomes_complete_until]
        sys.argv[1:] = [*command, "--", *beam_options]
        main()
