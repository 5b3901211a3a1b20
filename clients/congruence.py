"""qdrant-client's own congruence tests against our server: a pytest plugin that points them at it.

Those tests ask a server and the client's local mode the same and compare the answers. They expect a server at
localhost:6333 that also speaks gRPC; here every client speaks REST with the server of `OMENDB_URL`. What does not
apply is in the table below, and nowhere else.
"""

import fnmatch

import pytest

# Imported from the environment before the tests' own checkout, which has a package of that name too, is on the path.
from qdrant_client import QdrantClient

from flow import TOKEN, URL

MULTIVECTORS = "multivectors are not supported; the server refuses them by name"
# Tests, as file::name, and why they do not apply.
NOT_APPLICABLE = [
    ("test_info.py::test_info", "compares the server's title with Qdrant's"),
    ("test_query.py::test_query_invalid_vector_type", "expects an error of gRPC"),
    ("test_multivector_*.py::*", MULTIVECTORS),
    ("test_has_vector.py::test_has_vector_multi", MULTIVECTORS),
    ("test_query.py::test_multivec_query", MULTIVECTORS),
    ("test_query.py::test_flat_query_multivector_interface", MULTIVECTORS),
    ("test_query_batch.py::test_multivec_query_batch", MULTIVECTORS),
    ("test_modify_named_vector.py::test_create_and_delete_vector_name", MULTIVECTORS),
    ("test_updates.py::test_update_vectors", MULTIVECTORS),
]


def to_our_server(init):
    """What the tests mean by a remote client."""

    def replaced(self, *arguments, **options):
        if options.get("port") == 6333:
            options = {"url": URL, "api_key": TOKEN, "timeout": options.get("timeout")}
        init(self, *arguments, **options)

    return replaced


QdrantClient.__init__ = to_our_server(QdrantClient.__init__)


def pytest_collection_modifyitems(config, items):
    """Takes out what does not apply."""
    left_out = {pattern: 0 for pattern, _ in NOT_APPLICABLE}
    applicable = []
    for item in items:
        name = item.nodeid.rsplit("/", 1)[-1]
        pattern = next((p for p, _ in NOT_APPLICABLE if fnmatch.fnmatch(name, p)), None)
        if pattern is None:
            applicable.append(item)
        else:
            left_out[pattern] += 1
    items[:] = applicable
    config.stash[LEFT_OUT] = left_out


LEFT_OUT = pytest.StashKey()


def pytest_terminal_summary(terminalreporter, config):
    """Prints the table with its counts, and the tally as `cargo test` writes it."""
    stats = terminalreporter.stats
    passed = len(stats.get("passed", []))
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    left_out = config.stash.get(LEFT_OUT, {})
    for pattern, reason in NOT_APPLICABLE:
        terminalreporter.write_line(f"not applicable: {left_out.get(pattern, 0):>3} {pattern}: {reason}")
    verdict = "FAILED" if failed else "ok"
    terminalreporter.write_line(f"{sum(left_out.values())} not applicable")
    terminalreporter.write_line(f"test result: {verdict}. {passed} passed; {failed} failed")
