"""Cross-lingual intermediate-task transfer: which tasks and source languages help, and how certain is that.

The Python API is imported when it is first used, so that `import xstilts` is fast.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xstilts.workflows.compare import Difference, compare

__all__ = ["Difference", "compare"]
__version__ = version("xstilts")

_MODULES = {"Difference": "xstilts.workflows.compare", "compare": "xstilts.workflows.compare"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'xstilts' has no attribute '{name}'")
