"""Steps and plans as plain data, the store, and executors; knows nothing of training."""

from xstilts.engine.local import Outcome, execute, run_step
from xstilts.engine.step import Plan, Step, digest
from xstilts.engine.store import Store, checksum, write_atomically

__all__ = ["Outcome", "Plan", "Step", "Store", "checksum", "digest", "execute", "run_step", "write_atomically"]
