"""The Datadog Agent's OpenMetrics check, present and legacy, on a live server: one run for each line of stdin.

Usage: datadog.py PAGE TOKEN_FILE OPENMETRICS_YAML LEGACY_YAML. A line of stdin names the checks to run; each answer is a line
of JSON: by check the names that arrived, and those of them that had a value other than zero.
"""

import json
import sys

import yaml
from datadog_checks.base import OpenMetricsBaseCheck, OpenMetricsBaseCheckV2
from datadog_checks.base.stubs import aggregator


def instance(file, changes):
    """The shipped instance, with the address and the file of this run."""
    with open(file, encoding="utf-8") as text:
        (shipped,) = yaml.safe_load(text)["instances"]
    assert changes.keys() <= shipped.keys(), f"{file} lacks one of {changes.keys()}"
    return {**shipped, **changes}


def run(check):
    """What one run submits; an error of the check is an error here."""
    aggregator.reset()
    error = check.run()
    assert not error, error
    moved, arrived = set(), set()
    submitted = [*aggregator._metrics.values(), *aggregator._histogram_buckets.values()]
    for sample in (sample for samples in submitted for sample in samples):
        arrived.add(sample.name)
        if sample.value:
            moved.add(sample.name)
    return {"moved": sorted(moved), "arrived": sorted(arrived)}


def main(page, token_file, openmetrics, legacy):
    reader = {"type": "file", "path": token_file}
    writer = {"type": "header", "name": "Authorization", "value": "Bearer <TOKEN>"}
    present = {"openmetrics_endpoint": page, "auth_token": {"reader": reader, "writer": writer}}
    before = {"prometheus_url": page, "bearer_token_path": token_file}
    checks = {
        "present": OpenMetricsBaseCheckV2("omendb", {}, [instance(openmetrics, present)]),
        "legacy": OpenMetricsBaseCheck("omendb", {}, [instance(legacy, before)]),
    }
    for order in sys.stdin:
        print(json.dumps({name: run(checks[name]) for name in order.split()}), flush=True)


main(*sys.argv[1:])
