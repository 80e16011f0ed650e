"""A run held against what has been claimed: entries as data, each judged by comparisons or on the study's make-up."""

from xstilts.claims.entries import NINE
from xstilts.claims.judge import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDETERMINED, judge_claims
from xstilts.claims.published import published_table

__all__ = ["CONTRADICTED", "NINE", "NOT_TESTED", "SUPPORTED", "UNDETERMINED", "judge_claims", "published_table"]
