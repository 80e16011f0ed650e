"""The command line: one small function per command."""

from xstilts.cli import (  # noqa: F401  (importing a module adds its verbs to the app)
    claims,
    compare,
    export,
    language_tables,
    plan_and_bench,
    power_and_calibrate,
    push,
    score_and_submit,
    step_and_watch,
    store,
    studies_and_doctor,
    study_and_report,
    tasks_and_data,
    train_and_predict,
    transfer,
)
from xstilts.cli.root import app, main

__all__ = ["app", "main"]
