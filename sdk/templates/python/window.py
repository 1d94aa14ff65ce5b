"""Says over which window usage is computed. This one takes the mean rate since the oldest sample that it is shown, or since
the container started.

Each class answers one interface of the contract. Every call finds a fresh instance, so nothing is remembered.
"""

import json
from typing import Tuple

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.plugin import Info
from wit_world.imports.types import Batch, Usages

class Plugin(exports.Plugin):
    def describe(self) -> Info:
        return Info(
            name="my-plugin",
            version="0.1.0",
            description="What it does, in one sentence for operators",
            settings_schema=json.dumps({"type": "object", "additionalProperties": False}),
        )

    def configure(self, settings: str) -> None:
        """The gateway hands over {} where the operator set nothing."""
        if settings != "{}":
            raise Err("there are no settings")


class Window(exports.Window):
    def history(self) -> int:
        return 60 * 10**9

    def measure(self, batch: Batch) -> Usages:
        starts = [0, *batch.ends]
        rows = [usage_of(batch, start, end) for start, end in zip(starts, batch.ends)]
        columns = [list(column) for column in zip(*rows)] or [[], [], [], []]
        return Usages(*columns)


NOTHING = (0, 0, 0, 0)


def usage_of(batch: Batch, start: int, end: int) -> Tuple[int, int, int, int]:
    """Time, window, rate and memory of the samples start..end. A window of 0 serves nothing."""
    if start == end:
        return NOTHING
    newest = end - 1
    oldest = next(i for i in range(start, end) if batch.started_at[i] == batch.started_at[newest])
    window = batch.taken_at[newest] - batch.taken_at[oldest]
    used = batch.cpu_ns[newest] - batch.cpu_ns[oldest]
    if window == 0 or used < 0:
        return NOTHING
    rate, memory = used * 10**9 // window, batch.memory_bytes[newest]
    if rate > 10**15 or memory > 2**60:
        return NOTHING
    return batch.taken_at[newest], window, rate, memory
