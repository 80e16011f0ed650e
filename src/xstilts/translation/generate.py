"""Translate many texts: each distinct one once, the longest first, resumably."""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from xstilts.context import Progress
from xstilts.models.hardware import TRANSLATED_TOKENS
from xstilts.tasks.encoding import cuts
from xstilts.translation.codes import Direction
from xstilts.translation.models import Translator

TOO_LONG = "longer than the model reads"
UNFINISHED = "translation without an end"


@dataclass(frozen=True)
class Search:
    """Beam search: `beams` hypotheses, at most `max_length` tokens read and written per text, `batch_tokens` tokens
    with padding at a time (None: the device's default)."""

    beams: int
    max_length: int
    batch_tokens: int | None = None


@dataclass
class Translations:
    """Per text its translation in `done`, or the reason why it has none in `failed`."""

    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def translate_texts(
    texts: Sequence[str], translator: Translator, way: Direction, search: Search, file: Path, progress: Progress
) -> Translations:
    """The translation of every distinct text, the longest first in batches.

    Nothing is truncated: a text with more tokens than the model or `search` allows fails, and so does a translation
    that does not end within them. `file` collects finished batches, which are not computed again: an interrupted
    run resumes with the same result.
    """
    distinct = list(dict.fromkeys(texts))
    if way.source:
        translator.tokenizer.src_lang = way.source
    ids: list[np.ndarray] = []
    for start in range(0, len(distinct), 1024):
        part = [way.prefix + text for text in distinct[start : start + 1024]]
        ids += [np.array(tokens, np.int32) for tokens in translator.tokenizer(part, verbose=False)["input_ids"]]
    longest = min(translator.longest, search.max_length)
    lengths = np.array([len(i) for i in ids], np.int64)
    result = Translations(failed={distinct[i]: TOO_LONG for i in np.flatnonzero(lengths > longest)})
    lengths[lengths > longest] = 0
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    budget = search.batch_tokens or TRANSLATED_TOKENS[translator.model.device.type]
    batches = [order[part].tolist() for part in cuts(lengths[order], budget)]
    finished = 0
    resumed = _resume(batches, file, lambda batch: _generate([ids[i] for i in batch], translator, way, search))
    for batch, translations in resumed:
        for index, text in zip(batch, translations, strict=True):
            if text:
                result.done[distinct[index]] = text
            else:
                result.failed[distinct[index]] = UNFINISHED if text is None else "empty translation"
        finished += int(lengths[batch].sum())
        progress(finished / int(lengths.sum()))
    return result


def _resume(
    batches: list[list[int]], file: Path, compute: Callable[[list[int]], list[str | None]]
) -> Iterator[tuple[list[int], list[str | None]]]:
    """Each batch with its translations: first the whole lines of the file, then what is computed and appended."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
    known, size = [], 0
    with suppress(ValueError):
        for line in itertools.takewhile(lambda line: line.endswith(b"\n"), lines[: len(batches)]):
            known.append(json.loads(line))
            size += len(line)
    yield from zip(batches, known, strict=False)
    with file.open("ab") as stream:
        stream.truncate(size)
        for batch in batches[len(known) :]:
            written = compute(batch)
            stream.write(json.dumps(written, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
            yield batch, written


def _generate(ids: list[np.ndarray], translator: Translator, way: Direction, search: Search) -> list[str | None]:
    """The translations of texts of similar length, None for one without an end."""
    tokenizer, device = translator.tokenizer, translator.model.device
    batch = tokenizer.pad({"input_ids": [i.tolist() for i in ids]}, return_tensors="pt").to(device)
    room = min(translator.longest, search.max_length, 3 * max(map(len, ids)) + 16) - 1  # the start token
    options = {"num_beams": search.beams, "do_sample": False, "max_new_tokens": room}
    if way.first is not None:
        options["forced_bos_token_id"] = way.first
    with torch.inference_mode():
        output = translator.model.generate(**batch, **options)
    given = 1 if way.first is None else 2  # the start token, and the target language
    written = output[:, given:].cpu()
    # Some models force an end at `room`.
    ends = [tokenizer.eos_token_id in row[: room - given].tolist() for row in written]
    texts = tokenizer.batch_decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [text.strip() if ended else None for text, ended in zip(texts, ends, strict=True)]
