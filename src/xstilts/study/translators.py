"""What a study's translators are known to translate into: a language that one lacks would fail its step late."""

from collections.abc import Iterable

from xstilts.config.schema import Arm, Study
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.translation.known import known_targets


def translatable(study: Study, arm: Arm, codes: Iterable[str]) -> tuple[str, ...]:
    """Those of the languages that an arm may draw as far as its translator is known; all for any other arm."""
    known = known_targets(study.translators[arm.translated].load) if arm.translated and not arm.pivot else None
    return tuple(code for code in codes if known is None or language(code).code in known)


def check_translators(study: Study) -> None:
    """Raises XstiltsError where an arm is given, or goes through, a language that its translator does not translate
    into, or where the way back to the anchor is not known to the one that goes it."""
    anchor = study.languages.anchor
    for name, arm in study.arms.items():
        if arm.translated:
            back = study.translators[arm.translated].back or arm.translated
            ways = [(arm.translated, arm.pivot), (back, anchor)] if arm.pivot else []
            for translator, code in ways + [(arm.translated, code) for code in arm.given if code != anchor]:
                _check(study, name, translator, code)


def _check(study: Study, arm: str, translator: str, code: str) -> None:
    load = study.translators[translator].load
    known, wanted = known_targets(load), language(code)
    if known is not None and wanted.code not in known:
        raise XstiltsError(
            "bad-setting",
            f"arm '{arm}': translator '{translator}' does not translate into {wanted.name} ({wanted.code})",
            f"{load} knows {', '.join(sorted(known))}",
            "give the arm one of these languages, or another translator",
        )


def translator_notes(study: Study, pool: tuple[str, ...], held_out: tuple[str, ...]) -> list[str]:
    """Languages that arms do not draw because their translator lacks them, and translators that nothing is known of."""
    notes = []
    for name, arm in study.arms.items():
        among = held_out if arm.languages == "held-out" else pool
        lacking = [code for code in among if code not in translatable(study, arm, among)]
        if lacking and not arm.given:
            notes.append(f"arm '{name}' leaves out {', '.join(lacking)}: its translator '{arm.translated}' does not "
                         "translate into that")  # fmt: skip
    used = dict.fromkeys(arm.translated for arm in study.arms.values() if arm.translated)
    return notes + [
        f"translator '{name}': what it translates into is not known before it is loaded; the step of a language that "
        "it lacks will fail"
        for name in used
        if known_targets(study.translators[name].load) is None
    ]
