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

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def train_vocabulary(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes a fast tokenizer trained on the text of all its inputs.

    arguments: `model` ('words': one token per white-space word; 'bpe': sub-words), `size` (tokens at most),
    `alphabet` (characters at most, for 'bpe'; a rarer character becomes unknown, which keeps room for words).
    """
    folders = [inputs[name] for name in sorted(inputs)]
    special = list(SPECIAL.values())
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    trainer: Any = trainers.WordLevelTrainer(vocab_size=arguments["size"], special_tokens=special)
    if arguments["model"] == "words":
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Digits(True)])
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(
            vocab_size=arguments["size"],
            limit_alphabet=arguments["alphabet"],
            initial_alphabet=_alphabet(folders, arguments["alphabet"]),
            special_tokens=special,
            show_progress=False,
        )
    tokenizer.train_from_iterator(_texts(folders), trainer)
    numbered = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=numbered
    )
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)
    wrapped.model_input_names = ["input_ids", "token_type_ids"] if arguments.get("segments") else ["input_ids"]
    wrapped.save_pretrained(out)


def _alphabet(folders: list[Path], size: int) -> list[str]:
    """The most frequent characters, ties by code point: the trainer's own choice between equals is random."""
    counts: Counter[str] = Counter()
    for texts in _texts(folders):
        counts.update(unicodedata.normalize("NFKC", " ".join(texts)).replace(" ", "▁"))
    return sorted(counts, key=lambda character: (-counts[character], character))[:size]


def _texts(folders: list[Path]) -> Iterator[list[str]]:
    for folder in folders:
        table = pq.read_table(folder / "examples.parquet", columns=["text", "text_b"])
        for name in ("text", "text_b"):
            yield [text for text in table[name].to_pylist() if text]
