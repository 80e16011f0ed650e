"""Export a trained model to ONNX, and check that the exported model computes what the original does."""

import importlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.tasks import classification, multilabel, qa, tagging
from xstilts.workflows.model import STUDY, Model, load
from xstilts.workflows.push import CONFIGURATION_FILES

FILE = "model.onnx"
OUTPUTS = {
    classification.AUTO_CLASS: ("logits",),
    tagging.AUTO_CLASS: ("logits",),
    qa.AUTO_CLASS: ("start_logits", "end_logits"),
}
"""The heads that are exported, and the names of their outputs, which are those of `transformers`."""
HEADS = {multilabel.PROBLEM_TYPE: "sigmoids", "start_logits": "ends", "end_logits": "ends"}
"""Problem type or name of an output → what its logits decide, if not between labels."""
TOLERANCE, TIE = 1e-4, 1e-5
"""By how much an exported logit may differ, and how close two logits are tied, as shares of the largest logit."""
LONGEST = 512
"""Tokens of the longest text that is checked, if the model reads as many."""
TEXTS = (
    "Yes.",
    "All human beings are born free and equal in dignity and rights.",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa.",
    "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.",
    "人人生而自由，在尊严和权利上一律平等。",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
)
"""What the two models are compared on: article 1 of the Universal Declaration of Human Rights, after a short text."""


@dataclass(frozen=True)
class Export:
    """An exported model, and how it differs from the original.

    files: names in `folder`; inputs: int64 [batch_size, sequence_length] each; texts: how many were compared, and
    `longest` the tokens of the longest; difference: the largest absolute one of two logits, which reach `largest_logit`
    in absolute value; limit: what it may be; predictions: labels, tags or ends of spans that were compared and agree.
    """

    folder: str
    files: tuple[str, ...]
    inputs: tuple[str, ...]
    texts: int
    longest: int
    difference: float
    largest_logit: float
    limit: float
    predictions: int


def export(model: Model | str | Path, out: str | Path | None = None) -> Export:
    """Write a model as `model.onnx`, with its configuration and tokenizer, into a new folder, by default `MODEL-onnx`.

    model: a model that `train` wrote, or a folder of `transformers` with a head for classification, tagging or
    question answering. Batch size and sequence length are dynamic; weights over 2 GB lie in a second file. The exported
    model is run by onnxruntime on texts of several lengths and scripts, alone and in a padded batch. Raises
    XstiltsError if packages are missing, if `out` is in use, if the model cannot be exported, or if a logit differs by
    more than `TOLERANCE` of the largest one or a prediction by more than a tie: then nothing is written.

    >>> export("no-such-model")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    xstilts.errors.XstiltsError: there is no folder no-such-model
    """
    folder = (model.folder if isinstance(model, Model) else Path(model)).resolve()
    target = Path(out) if out else folder.with_name(f"{folder.name}-onnx")
    if not folder.is_dir():
        why, hint = "an export needs the files of a model", "check the path, or download the model first"
        raise XstiltsError("missing-model", f"there is no folder {model}", why, hint)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        why, hint = "what is there is not overwritten", "name another folder with -o, or remove it"
        raise XstiltsError("bad-argument", f"{target} exists already", why, hint)
    if (folder / STUDY).is_file():
        load(folder).verify()
    runtime = _runtime()
    loaded, tokenizer, outputs = _load(folder)
    batches = _batches(loaded, tokenizer)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        written = Path(scratch, "model")
        written.mkdir()
        _convert(loaded, batches[-1], outputs, written / FILE)
        session = runtime.InferenceSession(written / FILE, providers=["CPUExecutionProvider"])
        facts = _check(loaded, session, batches, outputs)
        for path in folder.iterdir():
            if path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in CONFIGURATION_FILES):
                shutil.copyfile(path, written / path.name)
        files = tuple(sorted(path.name for path in written.iterdir()))
        written.replace(target)
    return Export(str(target), files, tuple(batches[0]), **facts)


def _runtime() -> Any:
    """The module onnxruntime; raises XstiltsError if it or what `torch.onnx` needs is not installed."""
    try:
        return [importlib.import_module(name) for name in ("onnx", "onnxscript", "onnxruntime")][-1]
    except ImportError as error:
        hint = "pip install 'xstilts[onnx]'"
        raise XstiltsError("missing-package", "the packages for ONNX are not installed", str(error), hint) from None


def _load(folder: Path) -> tuple[Any, Any, tuple[str, ...]]:
    """The model in a folder, its tokenizer, and the names of its outputs; raises XstiltsError for another head."""
    from xstilts.models.encoders import load_finished, load_pretrained, load_tokenizer

    architectures = load_pretrained("AutoConfig", folder).architectures or []
    for auto_class, outputs in OUTPUTS.items():
        if any(name.endswith(auto_class.removeprefix("AutoModel")) for name in architectures):
            return load_finished(auto_class, folder), load_tokenizer(folder), outputs
    what, why = f"the model in {folder} cannot be exported", f"it is {', '.join(architectures) or 'an encoder alone'}"
    hint = "give a model for classification, tagging or question answering"
    raise XstiltsError("unsupported", what, why, hint)


def _batches(model: Any, tokenizer: Any) -> list[dict[str, Any]]:
    """The inputs that are compared: a short text, one as long as the model reads, and all texts, padded."""
    from xstilts.models.encoders import longest_input

    longest = min(LONGEST, longest_input(model, tokenizer))
    settings = {"padding": True, "truncation": True, "max_length": longest, "return_tensors": "pt"}
    long = " ".join(TEXTS * (1 + longest // len(TEXTS)))
    return [dict(tokenizer(texts, **settings)) for texts in ([TEXTS[0]], [long], list(TEXTS))]


def _convert(model: Any, batch: dict[str, Any], outputs: Sequence[str], file: Path) -> None:
    import torch

    # It warns that torchvision, which is not needed, is missing.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    shapes = {name: {0: "batch_size", 1: "sequence_length"} for name in batch}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                model, kwargs=batch, input_names=list(batch), output_names=outputs, dynamic_shapes=shapes, verbose=False
            )
    except torch.onnx.OnnxExporterError as error:
        why, hint = str(error).strip().partition("\n")[0], "use a model of another type"
        raise XstiltsError("unsupported", f"{type(model).__name__} cannot be exported", why, hint) from None
    for node in program.model.graph.all_nodes():  # it names folders of this machine
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)
    program.save(file)


def _check(model: Any, session: Any, batches: Sequence[dict[str, Any]], outputs: Sequence[str]) -> dict[str, Any]:
    """The facts of `Export` from a comparison of the models on all batches; raises XstiltsError if they differ."""
    import torch

    expected: list[np.ndarray] = []
    actual: list[np.ndarray] = []
    for batch in batches:
        with torch.inference_mode():
            reference = model(**batch)
        computed = session.run(list(outputs), {name: tensor.numpy() for name, tensor in batch.items()})
        inside = batch["attention_mask"].numpy() > 0
        for name, logits in zip(outputs, computed, strict=True):
            head = HEADS.get(getattr(model.config, "problem_type", None) or name, "labels")
            expected += decisions(reference[name].numpy(), inside, head)
            actual += decisions(logits, inside, head)
    facts = compare(expected, actual)
    changed = facts.pop("changed")
    if changed or not facts["difference"] <= facts["limit"]:  # it may be NaN
        why = f"logits differ by up to {facts['difference']:.1e}, {facts['limit']:.1e} is allowed, and {changed} of "
        why += f"{facts['predictions']} predictions change"
        hint = "update torch, onnxscript and onnxruntime, or report the type of the model"
        raise XstiltsError("inconsistent", "the exported model does not compute what the original does", why, hint)
    lengths = [row.sum().item() for batch in batches for row in batch["attention_mask"]]
    return {**facts, "texts": len(lengths), "longest": max(lengths)}


def decisions(logits: np.ndarray, inside: np.ndarray, head: str) -> list[np.ndarray]:
    """The logits among which each prediction is the largest, without those of padding.

    logits: of labels or sigmoids [b, k], of tags per token [b, t, k] or of an end of a span [b, t]; inside: bool
    [b, t], false for padding. A sigmoid predicts its label or not, so that its logit stands against 0.
    """
    if head == "sigmoids":
        return [np.array([0.0, logit]) for logit in logits.ravel()]
    if head == "ends":
        return [row[real] for row, real in zip(logits, inside, strict=True)]
    return list(logits[inside] if logits.ndim == 3 else logits)


def compare(expected: list[np.ndarray], actual: list[np.ndarray]) -> dict[str, Any]:
    """The largest difference of two logits, its limit, and the predictions that change, ties aside.

    >>> facts = compare([np.array([2.0, -1.0])], [np.array([2.0, -1.5])])
    >>> facts["difference"], facts["largest_logit"], facts["changed"]
    (0.5, 2.0, 0)
    """
    reference = np.concatenate(expected)
    largest = float(np.abs(reference).max())
    gaps = [first.max() - first[second.argmax()] for first, second in zip(expected, actual, strict=True)]
    return {
        "difference": float(np.abs(reference - np.concatenate(actual)).max()),
        "largest_logit": largest,
        "limit": TOLERANCE * largest,
        "predictions": len(gaps),
        "changed": int((np.array(gaps) > TIE * largest).sum()),
    }
