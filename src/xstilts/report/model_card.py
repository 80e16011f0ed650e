"""The card of a trained model: front matter that the hub reads, and what a user of the model must know."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from xstilts.languages import language
from xstilts.models.published import published
from xstilts.report.console import markdown, markdown_code, number

Facts = dict[str, Any]
TAGS = {
    "classification": "text-classification",
    "multilabel": "text-classification",
    "tagging": "token-classification",
    "qa": "question-answering",
    "multiple_choice": "multiple-choice",
}
"""Task type → the hub's name of the task."""
PURPOSES = {
    "classification": "Classifies texts as {}.",
    "pair": "Classifies pairs of texts as {}.",
    "multilabel": "Assigns any of the labels {} to a text.",
    "tagging": "Tags each word of a sentence with one of {}.",
    "qa": "Finds the answer to a question in a text.",
    "choice": "Chooses the option that fits a question or a context best.",
}
CALLS = {
    "classification": ("text-classification", "", '"…"'),
    "pair": ("text-classification", "", '{"text": "…", "text_pair": "…"}'),
    "multilabel": ("text-classification", ", top_k=None", '"…"'),
    "tagging": ("token-classification", ', aggregation_strategy="first"', '"…"'),
}
"""Kind of data → pipeline of `transformers`, its options, and an input. Other kinds have no pipeline."""
OBJECTS = {
    "qa": '{"question": "…", "context": "…"}',
    "choice": '{"context": "…", "question": "…", "choices": ["…", "…"]}',
}
HUB_LICENCES = (
    ("mit", "apache-2.0", "bsd-3-clause", "bsd-2-clause", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0"),
    ("cc-by-sa-3.0", "cc-by-sa-4.0", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "c-uda"),
    ("cc-by-nc-2.0", "cc-by-nc-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0"),
)
"""The hub's names of licences: those that ask for credit at most, those that bind what is made of the work, and those
that exclude a use."""


def model_card(facts: Facts, study: Facts) -> str:
    """The card of a model as Markdown with YAML front matter.

    facts: what `train` knows of the model: `kind`, `task`, `labels`, `language`, `for`, `arm`, `dev_score`,
    `dev_baseline`, `metric`, `scores`, `shots`, `licences`, `datasets`, `compared`, `recommendation`, `training`,
    `intermediate`; study: the settings of the study that it comes from.
    """
    parts = [_front_matter(facts, study), f"# {markdown(study['name'])}", _purpose(facts, study), "## Use", _use(facts)]
    parts += ["## Scores", _scores(facts), "## Training", _training(facts, study)]
    if facts["recommendation"]:
        parts += ["## Why this training", markdown(facts["recommendation"])]
    return "\n\n".join([*parts, "## Licences", _licences(facts)]) + "\n"


def _front_matter(facts: Facts, study: Facts) -> str:
    tag = TAGS[facts["task"]["type"]]
    results = [
        {
            "task": {"type": tag},
            "dataset": {"name": f"own test rows in {code}", "type": "own", "config": code, "split": "test"},
            "metrics": [{"type": facts["metric"], "value": row["score"]}],
        }
        for code, row in facts["scores"].items()
    ]
    front: Facts = {
        "language": list(dict.fromkeys([facts["language"], *facts["for"]])),
        "license": strictest(facts["licences"].values()),
        "pipeline_tag": tag,
        "library_name": "transformers",
        "metrics": [facts["metric"]],
        "tags": ["xstilts", "cross-lingual-transfer"],
    }
    encoder = published(study["encoders"]["encoder"]["load"]).name
    if "/" in encoder:  # of the hub
        front["base_model"] = encoder
    if facts["datasets"]:
        front["datasets"] = facts["datasets"]
    if results:
        front["model-index"] = [{"name": study["name"], "results": results}]
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---"


def strictest(licences: Iterable[str]) -> str:
    """The hub's name of the licence that excludes most; "unknown" if one is not stated, "other" if the hub has no name
    for one.

    >>> strictest(["MIT License", "CC BY-SA 4.0", "CC BY-NC 4.0"]), strictest(["MIT", ""]), strictest(["own terms"])
    ('cc-by-nc-4.0', 'unknown', 'other')
    """
    ranks = {name: rank for rank, names in enumerate(HUB_LICENCES) for name in names}
    stated = [re.sub(r"[ _]+", "-", re.sub(r"\W*licen[cs]e$", "", text.strip().lower())) for text in licences]
    if not all(stated):
        return "unknown"
    return max(stated, key=lambda name: ranks[name]) if ranks.keys() >= set(stated) else "other"


def _purpose(facts: Facts, study: Facts) -> str:
    labels = ", ".join(map(markdown_code, facts["labels"][:20]))
    more = f" and {len(facts['labels']) - 20} more" if len(facts["labels"]) > 20 else ""
    encoder = published(study["encoders"]["encoder"]["load"])
    purpose = PURPOSES[facts["kind"]].format(labels + more)
    trained = language(facts["language"]).name
    for_ = _names(facts["for"]) if len(facts["for"]) <= 10 else f"{len(facts['for'])} languages"
    text = f"{purpose} Trained on {trained} data for use in {for_}; the encoder is {markdown(encoder.name)}."
    if not encoder.languages:
        return f"{text} The languages of its pretraining are not known here."
    unseen = [code for code in facts["for"] if code not in encoder.languages]
    if unseen:
        return f"{text} Not among the languages of its pretraining: {_names(unseen)}."
    return f"{text} All of these are among the languages of its pretraining."


def _names(codes: Iterable[str]) -> str:
    return ", ".join(language(code).name for code in codes)


def _use(facts: Facts) -> str:
    if facts["kind"] in CALLS:
        task, options, example = CALLS[facts["kind"]]
        lines = ["from transformers import pipeline", "", f'model = pipeline("{task}", model="FOLDER"{options})',
                 f"print(model({example}))"]  # fmt: skip
    else:
        lines = [
            "from xstilts import load",
            "",
            'model = load("FOLDER")',
            f"print(model.predict([{OBJECTS[facts['kind']]}]))",
        ]
    return "\n".join(["```python", *lines, "```"])


def _scores(facts: Facts) -> str:
    dev = facts["dev_score"]
    lines = []
    if dev is not None:
        floor = f"the baseline scores {number(facts['dev_baseline'])}"
        lines = [
            f"Development rows in {language(facts['language']).name}: {number(dev)} {facts['metric']}; {floor}.",
            "",
        ]
    if facts["scores"]:
        lines += [f"| language | {facts['metric']} | 95% interval | baseline | rows |", "|---|---:|---:|---:|---:|"]
    for code, row in facts["scores"].items():
        ends = "" if row["low"] is None else f"{number(row['low'])} to {number(row['high'])}"
        floor = f"{number(row['baseline'])} ({row['baseline_name']})"
        name = f"{language(code).name} ({code})"
        lines.append(f"| {name} | {number(row['score'])} | {ends} | {floor} | {row['examples']:,} |")
    if facts["scores"]:
        lines += ["", "Intervals cover the choice of test rows, not the variation between training runs."]
    if facts["scores"] and facts["compared"] > 1:
        lines += ["", f"The training was chosen from {facts['compared']} by these scores, which makes them optimistic: "
                  "score the model on new rows."]  # fmt: skip
    if untested := [code for code in facts["for"] if code not in facts["scores"]]:
        lines += ["", f"Never tested: {_names(untested)}. There were no labelled rows; the score is unknown."]
    return "\n".join(lines)


def _training(facts: Facts, study: Facts) -> str:
    phases = [("intermediate", facts["intermediate"]), ("target", facts["training"])]
    lines = ["| phase | examples | updates | tokens | final loss |", "|---|---:|---:|---:|---:|"]
    for name, phase in phases:
        if phase:
            numbers = f"{phase['examples']:,} | {phase['updates']:,} | {phase['tokens']:,} | {phase['loss']:.3f}"
            lines.append(f"| {name} | {numbers} |")
    for code, ids in facts["shots"].items():
        more = f", … ({len(ids):,} in all)" if len(ids) > 50 else ""
        lines += ["", f"Of the examples, {len(ids):,} are labelled rows in {language(code).name}, none of which is "
                  f"scored: {', '.join(map(markdown, ids[:50]))}{more}."]  # fmt: skip
    arm = f"Arm {markdown_code(facts['arm'])}, run {facts['replicate']} of {study['replicates']}."
    lines += ["", f"{arm} `xstilts.json` is the study: `xstilts study xstilts.json --data run/data` repeats it where "
              "the training data are."]  # fmt: skip
    return "\n".join(lines)


def _licences(facts: Facts) -> str:
    names = {"user-task": "training data"}
    rows = [f"| {names.get(name, markdown(name))} | {markdown(text) or 'not stated'} |"
            for name, text in facts["licences"].items()]  # fmt: skip
    lines = ["| made from | licence |", "|---|---|", *rows]
    if not all(facts["licences"].values()):
        lines += ["", "State the licences that are missing, and `license` above, before you publish the model."]
    return "\n".join(lines)
