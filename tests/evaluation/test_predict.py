"""Predictions and embeddings are made of finite numbers."""

import numpy as np
import pytest
import torch

from xstilts.errors import XstiltsError
from xstilts.evaluation.predict import run_model
from xstilts.evaluation.retrieve import embed
from xstilts.models.encoders import with_head
from xstilts.tasks import classification, tagging
from xstilts.tasks.encoding import Encoded

CPU = torch.device("cpu")
ENCODED = Encoded(np.arange(5, 17, dtype=np.int32), np.array([0, 4, 12]), np.arange(2), np.zeros(12, np.int64))


@pytest.mark.parametrize("kind", [classification, tagging])
def test_outputs_that_overflow_are_no_predictions(kind, encoder_folder):
    model = with_head(encoder_folder("bert"), kind.AUTO_CLASS, ("a", "b"), seed=1)
    assert len(run_model(model, kind, ENCODED, 0, CPU, "fp32")) == 2
    with torch.no_grad():
        model.base_model.encoder.layer[1].output.LayerNorm.weight.fill_(3e38)
    with pytest.raises(XstiltsError) as error:
        run_model(model, kind, ENCODED, 0, CPU, "fp32")
    assert error.value.kind == "not-finite"


def test_embeddings_that_overflow_find_no_translations(encoder_folder):
    base = with_head(encoder_folder("bert"), classification.AUTO_CLASS, ("a", "b"), seed=1).base_model
    assert np.isfinite(embed(base, ENCODED, 0, CPU, [2])).all()
    with torch.no_grad():
        base.encoder.layer[1].output.LayerNorm.weight.fill_(3e38)
    with pytest.raises(XstiltsError) as error:
        embed(base, ENCODED, 0, CPU, [2])
    assert error.value.kind == "not-finite"
