"""Check a run against published claims: one function per claim, each judged by comparisons or by the configuration."""

from xstilts.claims.judge import CONTRADICTED, NINE, NOT_TESTED, SUPPORTED, UNDETERMINED
from xstilts.claims.published_claims import judge_claims
from xstilts.claims.published_scores import published_table

__all__ = ["CONTRADICTED", "NINE", "NOT_TESTED", "SUPPORTED", "UNDETERMINED", "judge_claims", "published_table"]
