"""The steps of one client's flow, run in order; each says how it went, and the last line is the tally.

The tally is written as `cargo test` writes it, so that one reader counts both.
"""

import os
import sys
import traceback

URL = os.environ["OMENDB_URL"]
# None on an open server.
TOKEN = os.environ.get("OMENDB_TOKEN") or None


class Flow:
    def __init__(self):
        self.steps = []

    def step(self, function):
        """Adds a step. It takes what `run` was given and fails by raising."""
        self.steps.append(function)
        return function

    def run(self, subject):
        """Runs every step, also after one has failed, and ends the process."""
        failed = 0
        for step in self.steps:
            name = step.__name__.replace("_", " ")
            try:
                step(subject)
            except Exception:
                failed += 1
                print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
            else:
                print(f"ok     {name}", flush=True)
        verdict = "FAILED" if failed else "ok"
        passed = len(self.steps) - failed
        print(f"test result: {verdict}. {passed} passed; {failed} failed", flush=True)
        sys.exit(1 if failed else 0)
