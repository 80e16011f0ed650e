"""Cross-lingual intermediate-task transfer: which tasks and source languages help, and how certain is that.

The Python API is imported when it is first used, so that `import xstilts` is fast.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xstilts.workflows.compare import Difference, compare
    from xstilts.workflows.compare_files import FileComparison, compare_files
    from xstilts.workflows.evaluate import evaluate
    from xstilts.workflows.export import Export, export
    from xstilts.workflows.model import Model, load
    from xstilts.workflows.push import push
    from xstilts.workflows.train import train

__all__ = [
    "Difference", "Export", "FileComparison", "Model", "compare", "compare_files", "evaluate", "export", "load", "push",
    "train",
]  # fmt: skip
__version__ = version("xstilts")

_MODULES = {
    "Difference": "compare",
    "Export": "export",
    "FileComparison": "compare_files",
    "Model": "model",
    "compare": "compare",
    "compare_files": "compare_files",
    "evaluate": "evaluate",
    "export": "export",
    "load": "model",
    "push": "push",
    "train": "train",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"xstilts.workflows.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'xstilts' has no attribute '{name}'")
