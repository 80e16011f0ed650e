"""The terms of a report, each in a sentence."""

GLOSSARY = {
    "anchor language": "the language of the target's training and of distances, usually English",
    "arm": "a way to train: which intermediate task in which languages, or none",
    "baseline": "the score without learning: the majority class, or an encoder with random weights",
    "contrast": "a difference between two arms that was declared before the run",
    "control": "a contrast with a known outcome, which checks that the experiment can be believed",
    "dev score": "the score on development examples in the anchor language",
    "distance": "the share of known linguistic features in which two languages differ, 0 to 1",
    "encoder": "the pretrained multilingual model that every arm starts from",
    "equivalence margin": "the difference in points that counts as practically none",
    "held-out language": "a language in which arms train on no task, unless by translations or shots",
    "intermediate training": "training on another task between pretraining and the target task",
    "item cluster": "test examples that belong together, such as translations of one sentence",
    "oracle": "a choice that uses held-out labels, which are not available in practice",
    "replicate": "all phases once more with their own randomness and source languages",
    "simultaneous interval": "intervals of all declared contrasts that hold together at the study's confidence",
    "source pool": "the languages that arms choose their sources from",
    "target": "the task that is scored, after training on it in the anchor language",
    "verdict": "better or worse: the interval excludes zero; equivalent: it lies inside the margin; else undetermined; "
    "not interpretable: neither arm is shown to beat the baseline, or a control failed",
}
