"""The step that translates prepared rows into another language, or out and back."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.context import Context
from xstilts.data.prepare import read_examples
from xstilts.data.rejected_rows import RejectedRow
from xstilts.errors import XstiltsError
from xstilts.randomness import generator
from xstilts.tasks.task import Task
from xstilts.translation.codes import Direction, direction
from xstilts.translation.generate import Search, Translations, translate_texts
from xstilts.translation.marking import LOST, OWN_BRACKETS, Passage, found, marked, together, unmarked
from xstilts.translation.models import Translator, load_translator
from xstilts.translation.projection import PROJECTION, Dropped, Row, check_type

SAMPLE = 500
"""Sentences whose round trip is compared with the original: of the same rows the same ones, whatever the language."""
EMPTY = "empty text"
UNSPACED = ("ja", "zh")
"""Languages that put no space between sentences."""


def translate(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes `examples.parquet`, the rows in another language, in the schema of the task's type with their ids and
    clusters; `left-out.json`, the rows that have no translation and why; `quality.json`, how good it seems to be.

    arguments: `task` (its entry), `from` and `to` (languages), `roundtrip` (whether the rows are translated back into
    `from`, which then stays their language), `beams`, `max_length` (tokens of a sentence that are read and written),
    `batch_tokens` (None: what suits the device), `device`, `precision`; inputs: `rows`, `model` and, where another
    model translates back, `back`.

    Raises XstiltsError where the task's type or a language cannot be translated, or no row has a translation.
    """
    task = Task(**arguments["task"])
    check_type(task)
    table = read_examples([inputs["rows"]])
    _check_language(table, arguments["from"])
    rows = table.to_pylist()
    texts = _texts(task, rows)
    outward, homeward, quality = _both_ways(texts, arguments, inputs, context)
    final = _composed(outward, homeward) if arguments["roundtrip"] else outward
    language = arguments["from"] if arguments["roundtrip"] else arguments["to"]
    kept, dropped = _rebuilt(task, rows, final, language)
    if not kept:
        raise XstiltsError(
            "step-failed",
            f"no row of '{task.name}' has a translation into '{arguments['to']}'",
            _told(dropped),
            "look at what the model writes, or take another one",
        )
    pq.write_table(pa.Table.from_pylist(kept, table.schema), out / "examples.parquet")
    place = f"{task.name} from {arguments['from']}"
    problems = [
        RejectedRow(place, row + 1, arguments["to"], why, "a translation", "row").as_json()
        for row, why in dropped.items()
    ]
    (out / "left-out.json").write_text(json.dumps({"unlabelled": 0, "problems": problems}, ensure_ascii=False))
    counts = {"rows": len(rows), "kept": len(kept), "dropped": Counter(dropped.values()), "sentences": len(texts)}
    (out / "quality.json").write_text(json.dumps({**counts, **quality}, ensure_ascii=False, indent=1))


def _check_language(table: pa.Table, code: str) -> None:
    if others := set(table["language"].unique().to_pylist()) - {code}:
        raise XstiltsError(
            "unsupported",
            f"the rows to translate from '{code}' are in {', '.join(sorted(others))}",
            "a text in another language than the model is told of is not translated but garbled",
            "give the rows of that language",
        )


def _texts(task: Task, rows: list[Row]) -> list[str]:
    """The distinct sentences of all rows with their markers."""
    read = PROJECTION[task.type][0]
    texts = (marked(sentence) for row in rows for sentences in read(row, task) for sentence in sentences)
    return list(dict.fromkeys(text for text in texts if text is not None))


def _both_ways(
    texts: list[str], arguments: dict[str, Any], inputs: dict[str, Path], context: Context
) -> tuple[Translations, Translations, dict[str, Any]]:
    """The translations, those back again (of a sample, or of all for a round trip), and what is known of both."""
    source, target, roundtrip = arguments["from"], arguments["to"], arguments["roundtrip"]
    search = Search(arguments["beams"], arguments["max_length"], arguments["batch_tokens"])
    model = load_translator(inputs["model"], arguments["device"], arguments["precision"])
    way = _way(model, source, target)
    sample = [texts[i] for i in generator("sentences of a round trip").permutation(len(texts))[:SAMPLE]]
    back, why = _way_back(model, arguments, inputs)
    returning = (texts if roundtrip else sample) if back else []
    share = len(texts) / max(1, len(texts) + len(returning))

    def outward_progress(done: float) -> None:
        context.progress(share * done)

    def homeward_progress(done: float) -> None:
        context.progress(share + (1 - share) * done)

    outward = translate_texts(texts, model, way, search, context.scratch / "there.jsonl", outward_progress)
    homeward = Translations()
    if back:
        wanted = [outward.done[text] for text in returning if text in outward.done]
        homeward = translate_texts(wanted, *back, search, context.scratch / "back.jsonl", homeward_progress)
    quality = {
        "from": source, "to": target, "roundtrip": roundtrip, "model": _named(model, way),
        "back": _named(*back) if back else None, **_chrf(sample, outward, homeward), "why": why,
        "unchanged": sum(text == translated for text, translated in outward.done.items()),
    }  # fmt: skip
    return outward, homeward, quality


def _way(model: Translator, source: str, target: str) -> Direction:
    return direction(model.tokenizer, model.model.get_input_embeddings().num_embeddings, source, target, model.name)


def _way_back(
    model: Translator, arguments: dict[str, Any], inputs: dict[str, Path]
) -> tuple[tuple[Translator, Direction] | None, str]:
    """What translates back: the model given for it, else the same one; or None and the reason why nothing does."""
    if "back" in inputs:
        model = load_translator(inputs["back"], arguments["device"], arguments["precision"])
    try:
        return (model, _way(model, arguments["to"], arguments["from"])), ""
    except XstiltsError as error:
        if arguments["roundtrip"] or "back" in inputs:
            raise
        return None, error.what


def _named(model: Translator, way: Direction) -> dict[str, Any]:
    return {"name": model.name, "revision": model.revision, "codes": list(way.names)}


def _composed(outward: Translations, homeward: Translations) -> Translations:
    """Out and back as one translation."""
    result = Translations(failed=dict(outward.failed))
    for text, translated in outward.done.items():
        if translated in homeward.done:
            result.done[text] = homeward.done[translated]
        elif translated in homeward.failed:
            result.failed[text] = homeward.failed[translated]
    return result


def _chrf(sample: list[str], outward: Translations, homeward: Translations) -> dict[str, Any]:
    """chrF (0 to 100) of translated sentences that came back against the originals, how many they are, and sacrebleu's
    signature of the metric. It judges both directions at once; what did not come back counts as nothing written. None
    where nothing was translated back at all."""
    from sacrebleu.metrics import CHRF

    sent = [text for text in sample if text in outward.done]
    if not homeward.done:
        return {"chrf": None, "chrf_sentences": 0, "chrf_signature": ""}
    metric = CHRF()
    returned = [unmarked(homeward.done.get(outward.done[text], "")) for text in sent]
    score = metric.corpus_score(returned, [[unmarked(text) for text in sent]]).score
    return {"chrf": score, "chrf_sentences": len(sent), "chrf_signature": str(metric.get_signature())}


def _rebuilt(task: Task, rows: list[Row], final: Translations, code: str) -> tuple[list[Row], dict[int, str]]:
    """The rows that have a translation, and why the others have none, by their number."""
    read, write = PROJECTION[task.type]
    between = "" if code in UNSPACED else " "
    kept, dropped = [], {}
    for number, row in enumerate(rows):
        try:
            passages = [together([_translated(s, final) for s in sentences], between) for sentences in read(row, task)]
            if not all(passage.text for passage in passages):
                raise Dropped(EMPTY)
            kept.append({**write(row, task, passages, code), "language": code})
        except Dropped as why:
            dropped[number] = str(why)
    return kept, dropped


def _translated(sentence: Passage, final: Translations) -> Passage:
    text = marked(sentence)
    if text is None:
        raise Dropped(OWN_BRACKETS)
    if text in final.failed:
        raise Dropped(final.failed[text])
    if (result := found(final.done[text], sentence.spans)) is None:
        raise Dropped(LOST)
    return result


def _told(dropped: dict[int, str]) -> str:
    return ", ".join(f"{count:,} rows: {why}" for why, count in Counter(dropped.values()).most_common())
