"""What is known of each language's syntax."""

from functools import cache

import numpy as np

from xstilts.languages.identity import DATA


@cache
def syntax_features() -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The names of URIEL's syntax features [103] and code -> values [103] in 0..1, NaN where not observed.

    A value is the mean over URIEL's sources of a yes-or-no feature (Littell et al. 2017, `syntax_average`), so that
    1/2 marks sources that disagree. The arrays are shared and cannot be written to.
    """
    header, *lines = (DATA / "syntax.csv").read_text(encoding="utf-8").splitlines()
    values = {}
    for line in lines:
        code, *cells = line.split(",")
        row = np.array([cell or "nan" for cell in cells], dtype=float)
        row.flags.writeable = False
        values[code] = row
    return tuple(header.split(",")[1:]), values
