"""Languages: who they are, how far apart, and which to choose."""

from xstilts.languages.distance import Distance, Distances, distance, distance_matrix
from xstilts.languages.features import syntax_features
from xstilts.languages.identity import Language, all_languages, language
from xstilts.languages.selection import Selection, select
from xstilts.languages.split import Split, split_languages

__all__ = [
    "Distance",
    "Distances",
    "Language",
    "Selection",
    "Split",
    "all_languages",
    "distance",
    "distance_matrix",
    "language",
    "select",
    "split_languages",
    "syntax_features",
]
