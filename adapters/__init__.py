"""Schedulers' own words for `retrolabel run`; each file needs its scheduler's package, and nothing of retrolabel's but the command."""

from typing import Any

if __name__ != "retrolabel.adapters":  # found as ./adapters: it would be a second copy of every class
    raise ImportError("import retrolabel.adapters, not adapters")


def get_provider_info() -> dict[str, Any]:
    """What `airflow providers list` shows."""
    return {
        "package-name": "retrolabel", "name": "retrolabel",
        "description": "Builds labelled training data from logs: RetrolabelRunOperator and RetrolabelReadySensor.",
    }  # fmt: skip
