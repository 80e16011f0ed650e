"""Fit the models that the package ships, from the tables of SumEval 2022 (MIT; github.com/microsoft/Litmus).

    python scripts/transfer_knowledge.py SUMEVAL

SUMEVAL is the folder `SumEval/data/train` of that repository. Writes src/xstilts/transfer/sumeval.json in about five
minutes on one core. Only XLM-R Large is fitted; the other encoder of SumEval is not public.
"""

import sys
from pathlib import Path

from xstilts.transfer.left_out import with_error
from xstilts.transfer.model_file import SHIPPED, save_models
from xstilts.transfer.read_tables import read_tables
from xstilts.transfer.transfer_model import fit_model

TASKS = {"XNLI_XLMR": "xnli", "UDPOS_XLMR": "udpos", "WikiANN_XLMR": "panx", "TyDiQA_XLMR_ID": "tydiqa"}
"""Of the catalogue, by the name of SumEval's file."""
ENCODER = "FacebookAI/xlm-roberta-large"
PROVENANCE = "SumEval 2022, microsoft/Litmus at 0f5c85b, MIT: see sumeval.LICENSE"


def main(folder: Path) -> None:
    """Fit and write the models."""
    models = []
    for name, task in TASKS.items():
        (results,), _ = read_tables(folder / f"{name}.json", encoder=ENCODER, task=task)
        models.append(with_error(fit_model(results)))
        print(f"{name}: {len(results.examples)} trainings, {len(results.targets)} targets", flush=True)
    target = Path(__file__).resolve().parent.parent / "src" / "xstilts" / "transfer" / SHIPPED
    save_models(target, models, PROVENANCE)
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
