"""A tiny data set with every kind of file that a model of RecBole reads, and the keys that some models need."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

PEOPLE, ITEMS, ENTITIES, RELATIONS = 30, 25, 40, 4
NAME = "tiny"

KEYS: dict[str, Any] = {
    "epochs": 2,
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    "metrics": ["NDCG"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "metric_decimal_place": 12,
    "MAX_ITEM_LIST_LENGTH": 8,
    "train_batch_size": 128,
    "embedding_size": 16,
    "state": "ERROR",
    "show_progress": False,
}
"""Of every model."""

_LABELS = {
    "threshold": {"rating": 3},
    "eval_args": {**KEYS["eval_args"], "mode": "labeled"},
    "metrics": ["AUC"],
    "valid_metric": "AUC",
}
_VECTORS = {
    "additional_feat_suffix": ["ent", "rel"],
    "preload_weight": {"ent_id": "ent_emb", "rel_id": "rel_emb"},
    "alias_of_entity_id": ["ent_id"],
    "alias_of_relation_id": ["rel_id"],
}

NEEDS: dict[str, dict[str, Any]] = {
    **{model: {"selected_features": ["kind"]} for model in ("FDSA", "GRU4RecF", "SASRecF")},
    **{model: {**_VECTORS, "embedding_size": 64} for model in ("GRU4RecKG", "KSR")},
    **{model: {"reranker_CAN_NUM": 10} for model in ("GRU4RecCPR", "SASRecCPR")},
    "LightGBM": {**_LABELS, "lgb_params": {"objective": "binary"}, "lgb_num_boost_round": 5},
    "XGBoost": {**_LABELS, "xgb_params": {"objective": "binary:logistic"}, "xgb_num_boost_round": 5},
    "ConvNCF": {"embedding_size": 64},
    "DSSM": {"numerical_features": ["age", "length"]},
    "NCL": {"num_clusters": 4, "warm_up_step": 1},
    "DIEN": {"train_batch_size": 64},
    "ESMR": {
        "encoder_epochs": 2,
        "encoder_hidden_size": 8,
        "encoder_heads": 2,
        "ranker_rounds": 10,
        "reranker_epochs": 2,
        "reranker_hidden_size": 8,
        "causal_placebos": 10,
        "candidates": 10,
    },
}
"""Of the models that need more than RecBole's own defaults: columns, vectors, labels; fewer clusters than people."""


def write(folder: Path, seed: int = 0) -> Path:
    """Write the data set and return its folder: 30 people with 8 to 16 interactions, 25 items, a knowledge graph with vectors."""
    rng = np.random.default_rng(seed)
    place = folder / NAME
    place.mkdir(parents=True)
    length = rng.integers(8, 17, PEOPLE)
    inter = [
        f"u{person}\ti{item}\t{rng.integers(1, 6)}\t{1_700_000_000 + 40_000 * step + person}"
        for person in range(PEOPLE)
        for step, item in enumerate(rng.choice(ITEMS, length[person], replace=False))
    ]
    triples = sorted({tuple(row) for row in rng.integers((0, 0, 0), (ENTITIES, RELATIONS, ENTITIES), (200, 3)).tolist()})
    vector = [" ".join(f"{value:.3f}" for value in row) for row in rng.normal(size=(ENTITIES, 64))]
    emotions = ("happy", "lonely", "angry", "neutral")
    files = {
        "inter": ("user_id:token\titem_id:token\trating:float\ttimestamp:float", inter),
        "item": (
            "item_id:token\tkind:token\twords:token_seq\tlength:float\temotion:token",
            [
                f"i{item}\tk{item % 3}\tw{item % 4} w{item % 5}\t{rng.uniform():.3f}\t{emotions[item % 4]}"
                for item in range(ITEMS)
            ],
        ),
        "user": (
            "user_id:token\tage:float\tplace:token",
            [f"u{person}\t{20 + person}\tp{person % 4}" for person in range(PEOPLE)],
        ),
        "kg": ("head_id:token\trelation_id:token\ttail_id:token", [f"e{head}\tr{how}\te{tail}" for head, how, tail in triples]),
        "link": ("item_id:token\tentity_id:token", [f"i{item}\te{item}" for item in range(ITEMS)]),
        "ent": ("ent_id:token\tent_emb:float_seq", [f"e{entity}\t{vector[entity]}" for entity in range(ENTITIES)]),
        "rel": ("rel_id:token\trel_emb:float_seq", [f"r{relation}\t{vector[relation]}" for relation in range(RELATIONS)]),
    }
    for suffix, (header, lines) in files.items():
        (place / f"{NAME}.{suffix}").write_text("\n".join([header, *lines]) + "\n")
    return place


def keys_of(model: str, folder: Path) -> dict[str, Any]:
    """The ``config_dict`` of a model; ``load_col`` names every file, for RecBole alone loads of ``.inter`` only."""
    load = {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "item": ["item_id", "kind", "words", "length", "emotion"],
        "user": ["user_id", "age", "place"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
        "ent": ["ent_id", "ent_emb"],
        "rel": ["rel_id", "rel_emb"],
    }
    return {**KEYS, "load_col": load, "data_path": str(folder), **copy.deepcopy(NEEDS.get(model, {}))}
