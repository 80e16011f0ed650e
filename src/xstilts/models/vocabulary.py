"""The step that trains a tokenizer on raw text, for encoders that a study pretrains."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from xstilts.context import Context

SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}


def train_vocabulary(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes a fast tokenizer trained on the text of all its inputs.

    arguments: `model` ('words': one token per white-space word; 'bpe': sub-words), `size` (tokens at most),
    `alphabet` (characters at most, for 'bpe'; a rarer character becomes unknown, which keeps room for words).
    """
    files = [inputs[name] / "examples.parquet" for name in sorted(inputs)]
    settings: dict[str, Any] = {"vocab_size": arguments["size"], "special_tokens": list(SPECIAL.values())}
    if arguments["model"] == "words":
        tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer: Any = trainers.WordLevelTrainer(**settings)
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Digits(True)])
        tokenizer.decoder = decoders.Metaspace()
        # the most frequent characters, ties by code point: the trainer's own choice between equals is random
        counts: Counter[str] = Counter()
        for texts in _texts(files):
            counts.update(unicodedata.normalize("NFKC", " ".join(texts)).replace(" ", "▁"))
        size = arguments["alphabet"]
        alphabet = sorted(counts, key=lambda character: (-counts[character], character))[:size]
        trainer = trainers.BpeTrainer(limit_alphabet=size, initial_alphabet=alphabet, show_progress=False, **settings)
    tokenizer.train_from_iterator(_texts(files), trainer)
    numbered = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=numbered
    )
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)
    wrapped.model_input_names = ["input_ids", "token_type_ids"] if arguments.get("segments") else ["input_ids"]
    wrapped.save_pretrained(out)


def _texts(files: list[Path]) -> Iterator[list[str]]:
    for file in files:
        for column in pq.read_table(file, columns=["text", "text_b"]).columns:
            yield [text for text in column.to_pylist() if text]
