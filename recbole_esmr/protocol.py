"""The evaluation that a data set with days brings along, so that every model sees the same split and the same metrics."""

from typing import Any

BY_TIME: dict[str, Any] = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    "repeatable": True,
    "MAX_ITEM_LIST_LENGTH": 20,
    "metrics": ["Recall", "NDCG", "NegativeExposure", "ExpectedValence"],
    "topk": [10],
    "valid_metric": "NDCG@10",
}
"""RecBole keys written into the ``NAME.yaml`` of simulated and imported data: each person's last interaction is the test, the one
before it the validation; what was seen may be shown again; sequential models read 20 items, which keeps them fast on a CPU."""
