"""The result that all tests of reports show."""

from typing import Any

import pytest

from made_results import made_result


@pytest.fixture
def result() -> dict[str, Any]:
    return made_result()
