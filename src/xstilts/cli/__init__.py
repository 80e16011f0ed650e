"""The command line: one small function per verb."""

from xstilts.cli import (  # noqa: F401  (importing a module adds its verbs to the app)
    bench_device,
    claims_and_transfer,
    data_check,
    language_tables,
    list_tasks,
    plan_costs,
    power_and_calibrate,
    score_and_submit,
    step_and_watch,
    study_and_report,
)
from xstilts.cli.root import app, main

__all__ = ["app", "main"]
