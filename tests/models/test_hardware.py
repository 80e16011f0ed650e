"""Which precision and which attention kernel a device gets."""

import pytest
import torch

from xstilts.models import hardware, packing
from xstilts.models.hardware import choose_precision, is_ampere

TURING, AMPERE = (7, 5), (8, 0)


@pytest.mark.parametrize(("cards", "precision"), [
    ([AMPERE], "bf16"), ([(9, 0), AMPERE], "bf16"), ([TURING], "fp32"), ([AMPERE, TURING], "fp32"), ([], "bf16"),
])  # fmt: skip
def test_gpus_before_ampere_get_float32(cards, precision, monkeypatch):
    monkeypatch.setattr(hardware, "has_gpu", lambda: bool(cards))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: cards[device.index])
    assert choose_precision("cuda") == precision
    assert [is_ampere(torch.device("cuda", i)) for i in range(len(cards))] == [card >= AMPERE for card in cards]


@pytest.mark.parametrize(("flags", "precision"), [({"avx2", "avx512_bf16"}, "bf16"), ({"avx2"}, "fp32")])
def test_a_processor_gets_bf16_if_it_has_the_instructions(flags, precision, monkeypatch):
    monkeypatch.setattr(hardware, "_processor_flags", lambda: flags)
    assert choose_precision("cpu") == precision


@pytest.mark.parametrize(
    ("ampere", "precision", "width", "expected"),
    [(True, "bf16", 64, True), (False, "bf16", 64, False), (True, "fp32", 64, False), (True, "bf16", 12, False)],
)
def test_one_call_of_attention_is_for_what_its_kernel_can_do(ampere, precision, width, expected, monkeypatch):
    monkeypatch.setattr(packing, "is_ampere", lambda device: ampere)
    assert packing.takes_one_call(torch.device("cpu"), precision, width) == expected
