"""Arms on machine translation, end to end: a translator of the artificial languages is trained, then used by a study.

    python benchmarks/world_translator.py [--updates 600] [--few 240] [--out DIR] [--json FILE]

The translator is a small NLLB-shaped model, trained on parallel sentences of the world that no study trains on; a
second one is trained on fewer updates and translates badly. The study extends `pocket`: no intermediate training,
English, two languages in the world's own data, the same two languages translated from English by either translator, and
an English round trip through one of them. It takes a few minutes on two cores.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from sacrebleu.metrics import CHRF

from xstilts.context import Context
from xstilts.data.world.tables import world_table
from xstilts.translation.codes import direction
from xstilts.translation.generate import Search, translate_texts
from xstilts.translation.models import fetch, load_translator

CODES = {"en": "eng_Latn", "de": "deu_Latn", "ja": "jpn_Jpan"}
PAIR, THROUGH = ["de", "ja"], "ja"
WAYS = [way for code in PAIR for way in (("en", code), (code, "en"))]
STUDIED, LEARNT = 6000, 10_000
"""Rows of the task that studies train on, and those after them that the translator learns from."""
SAMPLE = 500
"""Sentences of the studied rows that translations are compared on."""
BATCH, WIDTH, LAYERS, LEARNING_RATE = 128, 64, 2, 3e-3
SIDES = {"layers": LAYERS, "attention_heads": 4, "ffn_dim": 2 * WIDTH, "layerdrop": 0.0}
STUDY = {
    "extends": "pocket",
    "name": "translated-arms",
    "question": "What do machine translations keep of training in two more languages?",
    "languages": {"never_held_out": PAIR},
    "arms": {
        **dict.fromkeys(["near", "far", "english-again", "in-language"]),
        "given": {"intermediate": "nli", "languages": "given", "given": PAIR},
        "translated": {"intermediate": "nli", "languages": "given", "given": PAIR, "translated": "good"},
        "translated-badly": {"intermediate": "nli", "languages": "given", "given": PAIR, "translated": "bad"},
        "english-roundtrip": {"intermediate": "nli", "translated": "good", "pivot": THROUGH},
    },
    "targets": {"pocket-tatoeba": None},
    "contrasts": [
        "translated - english",
        "given - translated",
        "english-roundtrip - english",
        "translated - translated-badly",
    ],
    "controls": None,
}
KEPT = ("contrast", "target", "estimate", "low", "high", "verdict")


def parallel() -> dict[str, list[str]]:
    """The sentences of the rows of the intermediate task in each language, one and the same meaning at each place."""
    tables = {code: world_table(1, "nli", "train", code, STUDIED + LEARNT, hard=0.3) for code in CODES}
    return {code: [text for pair in zip(*(table[name].to_pylist() for name in ("text_a", "text_b")), strict=True)
                   for text in pair] for code, table in tables.items()}  # fmt: skip


def whole_words(texts: list[str]) -> transformers.NllbTokenizer:
    """A tokenizer of NLLB's kind whose merges go on until every word is one token."""
    trained = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")
    trained.train_from_iterator(texts, tokenizers.trainers.BpeTrainer(vocab_size=10_000, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    vocab = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *model["vocab"]])}
    merges = [tuple(pair) for pair in model["merges"]]
    return transformers.NllbTokenizer(vocab=vocab, merges=merges, extra_special_tokens=[*CODES.values(), "<mask>"])


def train(texts: dict[str, list[str]], updates: int, folder: Path) -> float:
    """Writes the model and its tokenizer into a folder; returns the mean loss of the last 50 updates."""
    tokenizer = whole_words([text for own in texts.values() for text in own])
    ids = {}
    for code, own in texts.items():
        tokenizer.src_lang = CODES[code]
        ids[code] = tokenizer(own, padding=True, return_tensors="pt")["input_ids"]
    torch.manual_seed(0)
    config = transformers.M2M100Config(
        vocab_size=len(tokenizer), d_model=WIDTH, max_position_embeddings=64, init_std=0.05, dropout=0.0,
        attention_dropout=0.0, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in SIDES.items()},
    )  # fmt: skip
    model = transformers.M2M100ForConditionalGeneration(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98))
    warm = lambda update: min(1.0, (update + 1) / 100) * (1 - update / updates)  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warm)
    rng, losses = np.random.default_rng(0), []
    for update in range(updates):
        source, target = WAYS[update % len(WAYS)]
        drawn = torch.from_numpy(rng.integers(len(ids[source]), size=BATCH))
        read, write = ids[source][drawn], ids[target][drawn]
        loss = model(input_ids=read, attention_mask=read != 1, labels=write.masked_fill(write == 1, -100)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if update % 100 == 0:
            print(f"update {update}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return float(np.mean(losses[-50:]))


def judged(folder: Path, texts: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """For each way, chrF (0 to 100) of translations against the world's own text, and the share that is equal to it."""
    fetched, out = folder / "fetched", folder / "judged"
    fetched.mkdir()
    fetch({"load": str(folder), "revision": "", "content": ""}, {}, fetched, Context(out))
    model, found = load_translator(fetched, "cpu", "fp32"), {}
    for source, target in WAYS:
        pairs = dict(zip(texts[source], texts[target], strict=True))
        asked = list(pairs)[:SAMPLE]
        way = direction(model.tokenizer, len(model.tokenizer), source, target, model.name)
        done = translate_texts(asked, model, way, Search(2, 64), out / f"{source}-{target}.jsonl", lambda _: None).done
        said, right = [done.get(text, "") for text in asked], [pairs[text] for text in asked]
        equal = np.mean([one == other for one, other in zip(said, right, strict=True)])
        score = CHRF().corpus_score(said, [right]).score
        found[f"{source} - {target}"] = {"chrf": round(score, 1), "equal": round(float(equal), 3)}
    return found


def studied(translators: dict[str, Path], out: Path) -> dict[str, Any]:
    """What the study came to with these translators."""
    entries = {
        name: {"load": str(place.resolve()), "beams": 2, "max_length": 64} for name, place in translators.items()
    }
    study = {**STUDY, "translators": entries}
    file, run = out / "translated-arms.yaml", out / "run"
    file.write_text(json.dumps(study))
    program = Path(sys.executable).with_name("xstilts")
    subprocess.run([program, "study", file, "--out", run, "--store", out / "store"], check=True, timeout=3600)
    analysis = json.loads((run / "analysis.json").read_text())
    held_out = set(analysis["held_out"])
    means: dict[str, dict[str, float]] = {}
    for target in dict.fromkeys(row["target"] for row in analysis["scores"]):
        for arm in study["arms"] | {"none": {}, "english": {}}:
            own = [row["mean"] for row in analysis["scores"]
                   if (row["target"], row["arm"]) == (target, arm) and row["language"] in held_out]  # fmt: skip
            if own:
                means.setdefault(target, {})[arm] = round(float(np.mean(own)), 1)
    return {
        "plan": analysis["plan"]["hash"],
        "held_out": analysis["held_out"],
        "translations": [
            {
                "by": Path(row["model"]["name"]).name,
                "chrf_of_a_round_trip": round(row["chrf"], 1),
                **{name: row[name] for name in ("label", "rows", "kept", "dropped", "chrf_signature", "unchanged")},
            }
            for row in analysis["translations"]
        ],
        "held_out_means": means,
        "verdicts": [
            {k: round(v, 2) if isinstance(v, float) else v for k, v in row.items() if k in KEPT}
            for row in analysis["verdicts"]
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=600, help="of the translator")
    parser.add_argument("--few", type=int, default=240, help="updates of the one that translates badly")
    parser.add_argument("--out", type=Path, default=Path("runs/translated"), help="a new folder")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    texts = parallel()
    known = {code: own[: 2 * STUDIED] for code, own in texts.items()}
    fresh = {code: own[2 * STUDIED :] for code, own in texts.items()}
    folders, translators = {}, {}
    for name, updates in (("good", options.updates), ("bad", options.few)):
        folder = folders[name] = options.out / name
        folder.mkdir(parents=True)
        begin = time.process_time()
        loss = train(fresh, updates, folder)
        seconds = round(time.process_time() - begin)
        told = {"updates": updates, "processor_seconds": seconds, "last_loss": round(loss, 3)}
        translators[name] = {**told, "against_the_worlds_own_text": judged(folder, known)}
    print(json.dumps(translators, indent=1), flush=True)
    result = {
        "command": f"python benchmarks/world_translator.py --updates {options.updates} --few {options.few}",
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "studied_sentences_learnt_from": round(float(np.mean(np.isin(known["en"], fresh["en"]))), 3),
        "translators": translators,
        **studied(folders, options.out),
    }
    print(json.dumps(result["verdicts"], indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
