"""Steps and plans as plain data, the store, and executors; independent of training."""

from xstilts.engine.local import execute
from xstilts.engine.plan import Plan, Step, find, read_steps, write_steps
from xstilts.engine.result import write_atomically
from xstilts.engine.scheduler import Outcome, Report
from xstilts.engine.store import Store
from xstilts.engine.work import environment, run_alone, run_step, throttled

__all__ = [
    "Outcome",
    "Plan",
    "Report",
    "Step",
    "Store",
    "environment",
    "execute",
    "find",
    "read_steps",
    "run_alone",
    "run_step",
    "throttled",
    "write_atomically",
    "write_steps",
]
