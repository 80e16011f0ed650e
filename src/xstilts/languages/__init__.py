"""Languages: identity, distances, selection and the split into source and held-out languages."""

from xstilts.languages.candidates import Evidence
from xstilts.languages.distance import Distance, Distances, distance, distance_matrix
from xstilts.languages.identity import BENCHMARK_LANGUAGES, Language, all_languages, language
from xstilts.languages.measures import MEASURES, syntax_features
from xstilts.languages.selection import STRATEGIES, Selection, select
from xstilts.languages.split import Split, split_languages
from xstilts.languages.user_tables import read_scores

__all__ = [
    "BENCHMARK_LANGUAGES",
    "MEASURES",
    "STRATEGIES",
    "Distance",
    "Distances",
    "Evidence",
    "Language",
    "Selection",
    "Split",
    "all_languages",
    "distance",
    "distance_matrix",
    "language",
    "read_scores",
    "select",
    "split_languages",
    "syntax_features",
]
