"""The card of a trained model: front matter that the hub reads, and what a user of the model must know."""

from pathlib import Path
from typing import Any

import yaml

from xstilts.languages import language
from xstilts.report.console import number, visible

Facts = dict[str, Any]
TAGS = {"classification": "text-classification", "pair": "text-classification"}
"""Kind of the data → the hub's name of the task."""


def model_card(facts: Facts, study: Facts) -> str:
    """The card of a model as Markdown with YAML front matter.

    facts: what `train` knows of the model: `kind`, `task`, `language`, `for`, `arm`, `dev`, `metric`, `scores`,
    `recommendation`, `training`, `intermediate`; study: the settings of the study that it comes from.
    """
    parts = [_front_matter(facts, study), f"# {study['name']}", _purpose(facts, study), "## Use", _use(facts)]
    parts += ["## Scores", _scores(facts), "## Training", _training(facts, study)]
    if facts["recommendation"]:
        parts += ["## Why this training", visible(facts["recommendation"])]
    parts += [
        "## Licence",
        "That of the training data and of the encoder: state it in `license` above before you publish.",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: Facts, study: Facts) -> str:
    results = [
        {
            "task": {"type": TAGS[facts["kind"]]},
            "dataset": {"name": f"own test rows in {code}", "type": "own", "config": code, "split": "test"},
            "metrics": [{"type": facts["metric"], "value": row["score"]}],
        }
        for code, row in facts["scores"].items()
    ]
    front: Facts = {
        "language": list(dict.fromkeys([facts["language"], *facts["for"]])),
        "license": "unknown",
        "pipeline_tag": TAGS[facts["kind"]],
        "library_name": "transformers",
        "metrics": [facts["metric"]],
        "tags": ["xstilts", "cross-lingual-transfer"],
    }
    encoder = study["encoders"]["encoder"]["load"]
    if not Path(encoder).is_absolute():  # of the hub
        front["base_model"] = encoder
    if results:
        front["model-index"] = [{"name": study["name"], "results": results}]
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---"


def _purpose(facts: Facts, study: Facts) -> str:
    what = "pairs of texts" if facts["kind"] == "pair" else "texts"
    labels = ", ".join(f"`{visible(label)}`" for label in facts["task"]["labels"][:20])
    names = ", ".join(language(code).name for code in facts["for"])
    place = study["encoders"]["encoder"]["load"]
    encoder = visible(Path(place).name if Path(place).is_absolute() else place)
    trained = language(facts["language"]).name
    return f"Sorts {what} into {labels}. Trained on {trained} data for use in {names}; the encoder is {encoder}."


def _use(facts: Facts) -> str:
    example = '{"text": "…", "text_pair": "…"}' if facts["kind"] == "pair" else '"…"'
    lines = ("from transformers import pipeline", "", 'classify = pipeline("text-classification", model="FOLDER")',
             f"print(classify({example}))")  # fmt: skip
    return "\n".join(["```python", *lines, "```"])


def _scores(facts: Facts) -> str:
    dev = facts["dev"]["score"]
    lines = [] if dev is None else [f"Development rows in {language(facts['language']).name}: {number(dev)}.", ""]
    if facts["scores"]:
        lines += [f"| language | {facts['metric']} | 95% interval | baseline | rows |", "|---|---:|---:|---:|---:|"]
    for code, row in facts["scores"].items():
        ends = "" if row["low"] is None else f"{number(row['low'])} to {number(row['high'])}"
        floor = f"{number(row['baseline'])} ({row['baseline_name']})"
        name = f"{language(code).name} ({code})"
        lines.append(f"| {name} | {number(row['score'])} | {ends} | {floor} | {row['examples']:,} |")
    if facts["scores"]:
        lines += ["", "Intervals cover the test rows; another run of the same training varies more."]
    if untested := [language(code).name for code in facts["for"] if code not in facts["scores"]]:
        lines += ["", f"Never tested: {', '.join(untested)}. There were no labelled rows; the score is unknown."]
    return "\n".join(lines)


def _training(facts: Facts, study: Facts) -> str:
    phases = [("intermediate", facts["intermediate"]), ("target", facts["training"])]
    lines = ["| phase | examples | updates | tokens | final loss |", "|---|---:|---:|---:|---:|"]
    for name, phase in phases:
        if phase:
            numbers = f"{phase['examples']:,} | {phase['updates']:,} | {phase['tokens']:,} | {phase['loss']:.3f}"
            lines.append(f"| {name} | {numbers} |")
    arm = visible(facts["arm"])
    lines += ["", f"Arm `{arm}`, run {facts['replicate']} of {study['replicates']}. `xstilts.json` is the study: "
              "`xstilts study xstilts.json --data run/data` repeats it."]  # fmt: skip
    return "\n".join(lines)
