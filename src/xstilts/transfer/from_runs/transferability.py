"""LogME and H-score: how well an untouched encoder's features fit an intermediate task in each language."""

import numpy as np

from xstilts.data.prepare import read_examples
from xstilts.engine import Step, Store, read_steps
from xstilts.errors import XstiltsError
from xstilts.evaluation.subwords import TEXTS, measure_subwords
from xstilts.runs.reader import Run
from xstilts.runs.run_files import FEATURES, STEPS, SUBWORDS, Numbers, read_json, write_json
from xstilts.tasks.task import Task


def measure(run: Run, store: Store) -> None:
    """Write LogME and H-score of a run's untouched encoders into the run folder, and `subwords.json` if it is missing.

    Both are of the mean of an encoder's last hidden states on training examples of intermediate classification tasks
    (the only type with one class per example). They replace what `transfer-features.json` says of them; the rest of the
    file is kept. Raises XstiltsError if the store does not hold the run's encoders.
    """
    planned = read_steps(run.folder / STEPS)[0].steps
    finished = store.finished(planned)
    steps = {fingerprint: step for fingerprint, step in planned.items() if fingerprint in finished}
    encoders = {name: step for name, step in run.study["encoder_steps"].items() if step in finished}
    if not encoders:
        what = f"{store.place} does not hold the encoders of {run.folder}"
        raise XstiltsError("missing-model", what, "its steps are stored elsewhere", "give the --store of `study`")
    if not (run.folder / SUBWORDS).is_file():
        write_json(run.folder, SUBWORDS, measure_subwords(run.study, steps, store))
    measured = read_json(run.folder, FEATURES, {})
    for name, base in encoders.items():
        for key, scores in _scores(base, steps, store).items():
            measured[key] = {**measured.get(key, {}), name: scores}
    write_json(run.folder, FEATURES, measured)


def _scores(base: str, steps: dict[str, Step], store: Store) -> Numbers:
    """Both scores {score: {task: {language: value}}} of the untouched encoder on the data of its first trainings."""
    import torch

    from xstilts.evaluation.retrieve import embed
    from xstilts.models.encoders import load_base, load_tokenizer
    from xstilts.tasks import classification

    data = {}
    for step in steps.values():
        tasks = step.arguments["tasks"] if step.kind == "train" and step.inputs["encoder"] == base else {}
        for key, entry in tasks.items():
            task, prefix = Task(**entry["task"]), f"train.{key}."
            for name, fingerprint in step.inputs.items() if task.type == "classification" else ():
                if name.startswith(prefix):
                    data[task.name, name.removeprefix(prefix)] = task, entry["max_length"], fingerprint
    tokenizer, model = load_tokenizer(store.open(base)), load_base(store.open(base))
    last = model.config.num_hidden_layers
    scores: Numbers = {"logme": {}, "h_score": {}}
    for (name, code), (task, length, fingerprint) in data.items():
        table = read_examples([store.open(fingerprint)]).slice(0, TEXTS)
        encoded = classification.encode(table, task, tokenizer, length)
        vectors = embed(model, encoded, tokenizer.pad_token_id, torch.device("cpu"), [last])[0]
        for key, score in (("logme", log_me), ("h_score", h_score)):
            scores[key].setdefault(name, {})[code] = round(score(vectors, encoded.labels), 6)
    return scores


def h_score(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """tr(cov(f)⁻¹ cov(E[f|y])) of embeddings [n, d] and class numbers [n]: 0 to the number of classes − 1.

    Bao et al. 2019, "An Information-Theoretic Approach to Transferability in Task Transfer Learning", eq. 2, with the
    pseudo-inverse for features that are not independent.

    >>> round(h_score(np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([0, 0, 1, 1])), 2)
    1.0
    """
    centred = embeddings - embeddings.mean(0)
    covariance = centred.T @ centred / len(centred)
    means = np.zeros_like(centred)
    for label in np.unique(labels):
        means[labels == label] = centred[labels == label].mean(0)
    between = means.T @ means / len(centred)
    return float(np.trace(np.linalg.pinv(covariance, rcond=1e-8, hermitian=True) @ between))


def log_me(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Log of the maximum evidence per example of a linear model from embeddings [n, d] to class numbers [n].

    You et al. 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning" (arXiv 2102.11005),
    algorithm 1: one model for each class against the others, and the mean of their evidence. Higher is better.
    """
    n, d = embeddings.shape
    u, s, _ = np.linalg.svd(embeddings.astype(float), full_matrices=False)
    classes = [(labels == label).astype(float) for label in np.unique(labels)]
    return float(np.mean([_evidence(s**2, u.T @ y, float(y @ y), n, d) for y in classes]))


def _evidence(s2: np.ndarray, z: np.ndarray, yy: float, n: int, d: int) -> float:
    """The evidence per example, maximised over α (precision of the weights) and β (precision of the noise).

    s2: squared singular values; z: the target in the basis of the left singular vectors; yy: its squared length.
    """
    outside = max(yy - float(z @ z), 0.0)  # what no weights can fit

    def moments(t: float) -> tuple[float, float]:
        """Squared lengths of the weights and of the residual at t = α / β."""
        return float((s2 * z**2 / (s2 + t) ** 2).sum()), float((t**2 * z**2 / (s2 + t) ** 2).sum()) + outside

    alpha, beta = 1.0, 1.0
    for _ in range(100):
        t = alpha / beta
        gamma = float((s2 / (s2 + t)).sum())
        m2, res2 = moments(t)
        alpha, beta = gamma / max(m2, 1e-12), (n - gamma) / max(res2, 1e-12)
        if abs(alpha / beta - t) <= 1e-6 * t:
            break
    m2, res2 = moments(alpha / beta)
    log_det = float(np.log(alpha + beta * s2).sum()) + (d - len(s2)) * np.log(alpha)
    value = n * np.log(beta) + d * np.log(alpha) - n * np.log(2 * np.pi) - beta * res2 - alpha * m2 - log_det
    return float(value / (2 * n))
