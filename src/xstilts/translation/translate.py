"""The step that translates a prepared data set into another language, or there and back."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.context import Context
from xstilts.data.build_examples import RejectedRow
from xstilts.data.prepare import read_examples
from xstilts.errors import XstiltsError
from xstilts.randomness import generator
from xstilts.tasks.task import Task
from xstilts.translation.codes import Direction, direction
from xstilts.translation.generate import Search, Translations, translate_texts
from xstilts.translation.marking import LOST, TEXT_HAS_BRACKETS, Passage, join_passages, marked, unmark, without_markers
from xstilts.translation.models import Translator, load_translator
from xstilts.translation.projection import PROJECTION, Dropped, Row, check_type

SAMPLE = 500
"""Sentences whose round trip is compared with the original: the same ones for every target language."""
EMPTY = "empty text"


def translate(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes `examples.parquet`, the translated examples in the schema of the task's type with their ids and clusters;
    `left-out.json`, the examples without a translation and the reasons; `quality.json`, an estimate of the quality.

    arguments: `task` (its entry), `from` and `to` (languages), `roundtrip` (whether to translate back into `from`,
    which then stays the language), `beams`, `max_length` (most tokens of a sentence), `batch_tokens` (None: the
    device's default), `device`, `precision`; inputs: `rows`, `model` and `back`, if another model translates back.

    Raises XstiltsError if the task's type or a language cannot be translated, or if no example has a translation.
    """
    task = Task(**arguments["task"])
    check_type(task)
    table = read_examples([inputs["rows"]])
    source = arguments["from"]
    if others := set(table["language"].unique().to_pylist()) - {source}:
        what = f"the examples to translate from '{source}' are in {', '.join(sorted(others))}"
        why = "a model garbles texts in another language than its source language"
        raise XstiltsError("unsupported", what, why, "give examples in that language")
    rows = table.to_pylist()
    read = PROJECTION[task.type][0]
    marked_texts = (marked(sentence) for row in rows for sentences in read(row, task) for sentence in sentences)
    texts = list(dict.fromkeys(text for text in marked_texts if text is not None))
    outward, homeward, quality = _both_ways(texts, arguments, inputs, context)
    code = arguments["to"]
    if arguments["roundtrip"]:  # there and back as one translation
        code = source
        done = {text: homeward.done[there] for text, there in outward.done.items() if there in homeward.done}
        failed = {text: homeward.failed[there] for text, there in outward.done.items() if text not in done}
        outward = Translations(done, outward.failed | failed)
    translated, reasons = _rebuilt(task, rows, outward, code)
    if not translated:
        what = f"no example of '{task.name}' has a translation into '{arguments['to']}'"
        why = ", ".join(f"{count:,} examples: {reason}" for reason, count in Counter(reasons.values()).most_common())
        raise XstiltsError("step-failed", what, why, "check what the model writes, or use another one")
    pq.write_table(pa.Table.from_pylist(translated, table.schema), out / "examples.parquet")
    place, form = f"{task.name} from {source}", ("a translation", "row")
    problems = [RejectedRow(place, i + 1, arguments["to"], reason, *form).as_json() for i, reason in reasons.items()]
    (out / "left-out.json").write_text(json.dumps({"unlabelled": 0, "problems": problems}, ensure_ascii=False), "utf-8")
    counts = {"rows": len(rows), "kept": len(translated), "dropped": Counter(reasons.values()), "sentences": len(texts)}
    (out / "quality.json").write_text(json.dumps({**counts, **quality}, ensure_ascii=False, indent=1), "utf-8")


def _both_ways(
    texts: list[str], arguments: dict[str, Any], inputs: dict[str, Path], context: Context
) -> tuple[Translations, Translations, dict[str, Any]]:
    """The translations, the translations back (of a sample, or of all for a round trip), and the quality record."""
    source, target, roundtrip = arguments["from"], arguments["to"], arguments["roundtrip"]
    search = Search(arguments["beams"], arguments["max_length"], arguments["batch_tokens"])
    model = load_translator(inputs["model"], arguments["device"], arguments["precision"])
    way = _way(model, source, target)
    sample = [texts[i] for i in generator("sentences of a round trip").permutation(len(texts))[:SAMPLE]]
    back, why = _way_back(model, arguments, inputs)
    returning = (texts if roundtrip else sample) if back else []
    share = len(texts) / max(1, len(texts) + len(returning))
    progress, scratch = context.progress, context.scratch
    outward = translate_texts(texts, model, way, search, scratch / "there.jsonl", lambda done: progress(share * done))
    homeward = Translations()
    if back:
        wanted = [outward.done[text] for text in returning if text in outward.done]
        file = scratch / "back.jsonl"
        homeward = translate_texts(wanted, *back, search, file, lambda done: progress(share + (1 - share) * done))
    unchanged = sum(text == translated for text, translated in outward.done.items())
    quality = {"from": source, "to": target, "roundtrip": roundtrip, "model": _provenance(model, way)}
    quality |= {"back": _provenance(*back) if back else None, **_chrf(sample, outward, homeward)}
    return outward, homeward, {**quality, "why": why, "unchanged": unchanged}


def _way(model: Translator, source: str, target: str) -> Direction:
    return direction(model.tokenizer, model.model.get_input_embeddings().num_embeddings, source, target, model.name)


def _way_back(
    model: Translator, arguments: dict[str, Any], inputs: dict[str, Path]
) -> tuple[tuple[Translator, Direction] | None, str]:
    """The translator and direction back (a given model, else the same one), or None and the reason."""
    if "back" in inputs:
        model = load_translator(inputs["back"], arguments["device"], arguments["precision"])
    try:
        return (model, _way(model, arguments["to"], arguments["from"])), ""
    except XstiltsError as error:
        if arguments["roundtrip"] or "back" in inputs:
            raise
        return None, error.what


def _provenance(model: Translator, way: Direction) -> dict[str, Any]:
    return {"name": model.name, "revision": model.revision, "codes": list(way.names)}


def _chrf(sample: list[str], outward: Translations, homeward: Translations) -> dict[str, Any]:
    """chrF (0 to 100) of round-trip translations against the originals, the number of sentences, and sacrebleu's
    signature. It covers both directions; a missing return counts as empty. None if nothing was translated back."""
    from sacrebleu.metrics import CHRF

    sent = [text for text in sample if text in outward.done]
    if not homeward.done:
        return {"chrf": None, "chrf_sentences": 0, "chrf_signature": ""}
    metric = CHRF()
    returned = [without_markers(homeward.done.get(outward.done[text], "")) for text in sent]
    score = metric.corpus_score(returned, [[without_markers(text) for text in sent]]).score
    return {"chrf": score, "chrf_sentences": len(sent), "chrf_signature": str(metric.get_signature())}


def _rebuilt(task: Task, rows: list[Row], final: Translations, code: str) -> tuple[list[Row], dict[int, str]]:
    """The translated examples, and the reason why others have no translation, by row number."""
    read, write = PROJECTION[task.type]
    between = "" if code in ("ja", "zh") else " "  # sentences
    translated, reasons = [], {}
    for number, row in enumerate(rows):
        try:
            passages = [join_passages([_translated(s, final) for s in part], between) for part in read(row, task)]
            if not all(passage.text for passage in passages):
                raise Dropped(EMPTY)
            translated.append({**write(row, task, passages, code), "language": code})
        except Dropped as why:
            reasons[number] = str(why)
    return translated, reasons


def _translated(sentence: Passage, final: Translations) -> Passage:
    text = marked(sentence)
    if text is None:
        raise Dropped(TEXT_HAS_BRACKETS)
    if text in final.failed:
        raise Dropped(final.failed[text])
    if (result := unmark(final.done[text], sentence.spans)) is None:
        raise Dropped(LOST)
    return result
