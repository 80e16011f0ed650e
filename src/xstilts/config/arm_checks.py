"""What is wrong with arms and intermediate trainings as they are written: names, and settings that would do nothing."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from xstilts.config.messages import Problem, Where, language_problems, mapping, setting, unknown
from xstilts.config.schema import Arm
from xstilts.tasks.task_types import FINE_TUNED

COUNTED = {"near", "far", "diverse", "random", "stratified", "same-script", "other-script", "predicted", "held-out"}
"""The strategies that choose `count` languages; the others have a number of their own."""
OF_AN_INTERMEDIATE = ("mlm", "translated", "pivot", "anchor_share", "languages", "given")
OF_ONE_TASK = ("epochs", "train", "dev")
OF_A_MIXTURE = ("sampling", "temperature", "cap")


def name_problems(section: str, names: Iterable[Any]) -> Iterator[Problem]:
    """Names of arms or targets that a contrast could not say, that are no file name, or that are taken."""
    for name in map(str, names):
        if name == "baseline":
            yield (section, name), "'baseline' is what the trivial baseline beside every score is called"
        elif not name.strip() or name.startswith(".") or "/" in name or "," in name or {"-", "on"} & set(name.split()):
            yield (section, name), "a name has no slash, comma, ' - ' or ' on ': it stands in contrasts and file names"


def training_problems(where: Where, entry: Any, intermediate: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the mixture of a training, or with settings of a mixture where there is none."""
    parts = setting(entry, "mixture")
    if not parts:
        for name in (name for name in OF_A_MIXTURE if setting(entry, name)):
            yield (*where, name), "needs `mixture`: it says how several trainings are drawn from"
        return
    if setting(entry, "task"):
        yield (*where, "task"), "a mixture has the tasks of its parts, and none of its own"
    for name in (name for name in OF_ONE_TASK if setting(entry, name)):
        yield (*where, name), "a mixture has those of its parts, and none of its own"
    for name, how in (("temperature", "temperature"), ("cap", "capped")):
        if setting(entry, name) and setting(entry, "sampling") != how:
            yield (*where, name), f"needs `sampling: {how}`"
    if len(parts) == 1:
        yield (*where, "mixture"), "has one part: name that training in the arm, or mix it with another"
    for part in mapping(entry, "mixture"):
        yield from unknown((*where, "mixture", part), str(part), intermediate, "intermediate")
        if setting(intermediate.get(part), "mixture"):
            yield (*where, "mixture", part), "is a mixture itself: name its parts"


def arm_problems(
    where: Where, entry: Any, tasks: dict[str, Any], translators: dict[str, Any], anchor: str
) -> Iterator[Problem]:
    """What is wrong with an arm's languages, the text mixed into it, its translation and its scores.

    tasks: type of every task by its name; translators: those of the study.
    """
    corpus = setting(setting(entry, "mlm"), "corpus")
    if corpus:
        yield from unknown((*where, "mlm", "corpus"), str(corpus), tasks, "task")
        if tasks.get(str(corpus), "mlm") != "mlm":
            yield (*where, "mlm", "corpus"), f"is a task of type {tasks[str(corpus)]}; raw text is of type mlm"
    if not setting(entry, "intermediate"):
        for name in (name for name in OF_AN_INTERMEDIATE if (setting(entry, name) or "english") != "english"):
            yield (*where, name), "needs `intermediate`: the training that it changes"
        return
    yield from _strategy_problems(where, entry)
    yield from _translation_problems(where, entry, translators, anchor)


def hidden_problems(where: Where, entry: Any, kinds: set[str]) -> Iterator[Problem]:
    """A text column to hide that no target has: the arm would have no cell. kinds: types of the study's targets."""
    columns = {name for kind in kinds if kind in FINE_TUNED for name in FINE_TUNED[kind].MASKABLE}
    hidden = setting(entry, "mask_column")
    if hidden and columns:
        yield from unknown((*where, "mask_column"), str(hidden), dict.fromkeys(sorted(columns)), "text column")


def length_problems(where: Where, entry: Any, arms: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the arm that another one's target training is as long as."""
    named = setting(entry, "match_updates_of")
    if not named:
        return
    trained = {name: arm for name, arm in arms.items() if setting(arm, "intermediate")}
    yield from unknown(where, str(named), trained, "arm with an intermediate training")
    if setting(entry, "intermediate"):
        yield where, "is for an arm without `intermediate`: the budgets of the others are equal"
    elif bool(setting(entry, "independent")) != bool(setting(arms.get(str(named)), "independent")):
        yield where, f"its replicates and those of '{named}' are not the same: `independent` must be equal"


def one_arm(left: Any, right: Any) -> bool:
    """Whether two arms, as they are written, are one by definition and randomness: no run could tell them apart.

    False where one of them cannot be read: that is told elsewhere.
    """
    try:
        one, other = (Arm(**entry).model_dump(exclude={"role"}) for entry in (left, right))
    except (ValidationError, TypeError):
        return False
    return one == other


def _strategy_problems(where: Where, entry: Any) -> Iterator[Problem]:
    """Languages by a strategy, and what goes with another one only."""
    strategy, given = setting(entry, "languages") or "english", setting(entry, "given")
    yield from language_problems((*where, "given"), given)
    if (strategy == "given") != bool(given):
        yield (*where, "given"), "goes with `languages: given`: the languages that the arm trains on"
    if isinstance(given, list) and len({str(code) for code in given}) < len(given):
        yield (*where, "given"), "names a language twice"
    if (strategy == "predicted") != bool(setting(entry, "scores")):
        yield (*where, "scores"), "goes with `languages: predicted`: the table of scores to choose by"
    if isinstance(strategy, str) and strategy not in COUNTED:
        idle = {"count": setting(entry, "count") not in (None, 1), "exact": bool(setting(entry, "exact"))}
        for name in (name for name, meant in idle.items() if meant):
            yield (*where, name), f"does nothing with `languages: {strategy}`; a null takes away what is extended"
    if setting(entry, "anchor_share") and strategy == "english":
        yield (*where, "anchor_share"), "needs `languages`: those of the other examples"


def _translation_problems(where: Where, entry: Any, translators: dict[str, Any], anchor: str) -> Iterator[Problem]:
    translated, through = setting(entry, "translated"), setting(entry, "pivot")
    english = setting(entry, "languages") in (None, "english")
    if translated:
        yield from unknown((*where, "translated"), str(translated), translators, "translator")
        if setting(setting(entry, "mlm"), "share") == 1:
            yield (*where, "translated"), "does nothing with `mlm.share: 1`, which leaves the task out"
        if english and not through:
            yield (*where, "translated"), "needs `languages` to translate into, or `pivot`: there and back"
    if through and not translated:
        yield (*where, "pivot"), "needs `translated`: the translator that goes there and back"
    if through and not english:
        yield (*where, "pivot"), "gives text in the anchor language: leave `languages` out"
    if through == anchor:
        yield (*where, "pivot"), "is the anchor language itself: name the one to go through"
    if through:
        yield from language_problems((*where, "pivot"), [through])
