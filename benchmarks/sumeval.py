"""Predict the test files of SumEval 2022, and cross-validate on its training files.

    python benchmarks/sumeval.py SUMEVAL [--xpos CSV] [--parts evidence predictions validation]

SUMEVAL is `SumEval/data` of github.com/microsoft/Litmus. Writes into benchmarks/results/sumeval: `predictions`, the 16
test files with predicted scores; `validation.json`, errors with mixtures, languages and families left out; and
`evidence.json`. With --xpos, a table of XLM-R base may help to tell how high new languages score in UD.
"""

import argparse
import json
import time
from pathlib import Path

from xstilts.transfer.cross_validation import validate_languages, validate_mixtures
from xstilts.transfer.evidence import distance_evidence
from xstilts.transfer.predict_scores import as_sumeval, predict_scores
from xstilts.transfer.read_tables import read_tables, sumeval_configurations
from xstilts.transfer.transfer_model import TransferModel, fit_model

OUT = Path(__file__).parent / "results" / "sumeval"
PARTS = ("evidence", "predictions", "validation")
XPOS = {"encoder": "model", "source": "train_language", "target": "test_language", "score": "accuracy"}


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sumeval", type=Path)
    parser.add_argument("--xpos", type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    tables = {file.stem: read_tables(file)[0][0] for file in sorted((given.sumeval / "train").glob("*.json"))}
    if "evidence" in given.parts:
        rows = [
            row
            for name, table in tables.items()
            if "TyDiQA" not in name
            for measure in ("syntax", "genetic", "geographic")
            for row in distance_evidence(table, measure)
        ]
        _write("evidence.json", rows)
    if given.parts == ["evidence"]:
        return
    models = {name: _fitted(name, table) for name, table in tables.items()}
    if given.xpos:
        (xpos,), _ = read_tables(given.xpos, XPOS, task="UDPOS", examples=10_000)
        models["UDPOS_XPOS"] = _fitted("UDPOS_XPOS", xpos)
    if "predictions" in given.parts:
        for file in sorted((given.sumeval / "test_release").glob("*.json")):
            _predict(file, models)
    if "validation" in given.parts:
        _write("validation.json", [row for name in models for row in _validated(models, name)])


def _fitted(name: str, table) -> TransferModel:  # type: ignore[no-untyped-def]
    begin = time.process_time()
    model = fit_model(table)
    print(f"{name}: fitted in {time.process_time() - begin:.0f} s of processor time", flush=True)
    return model


def _predict(file: Path, models: dict[str, TransferModel]) -> None:
    name = file.stem.partition("_surprise")[0]
    rows = sumeval_configurations(file)
    targets = list(dict.fromkeys(code for row in rows for code in row["eval_results"]))
    predicted = predict_scores(models[name], [row["train_config"] for row in rows], targets, _others(models, name))
    text = json.dumps(as_sumeval(rows, predicted, targets), separators=(",", ":"))
    (OUT / "predictions").mkdir(exist_ok=True)
    (OUT / "predictions" / file.name).write_text(text + "\n")
    print(f"{file.name}: {len(rows)} trainings, {len(targets)} languages", flush=True)


def _others(models: dict[str, TransferModel], name: str) -> list[TransferModel]:
    """Tables of the same encoder, and for UD that of XLM-R base."""
    encoder = models[name].results.encoder
    same = [other for key, other in models.items() if key != name and other.results.encoder == encoder]
    return same + [models[key] for key in ("UDPOS_XPOS",) if key in models and name == "UDPOS_XLMR"]


def _validated(models: dict[str, TransferModel], name: str) -> list[dict]:  # type: ignore[type-arg]
    rows = [] if name == "UDPOS_XPOS" else [validate_mixtures(models[name].results)]
    for by in ("language", "family"):
        rows.append(validate_languages(models[name], by))
        if others := _others(models, name):
            rows.append(validate_languages(models[name], by, others) | {"pooled": [m.results.name for m in others]})
    print(f"{name}: validated", flush=True)
    return rows


def _write(name: str, rows: list[dict]) -> None:  # type: ignore[type-arg]
    (OUT / name).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
