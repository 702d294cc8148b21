"""What must hold of the data before a model is trained on them: else it is trained for nothing."""

from __future__ import annotations

from typing import Any

from recbole_esmr.errors import DataError

_RANKING = "RANKING"


def check_rankable(config: Any, dataset: Any) -> None:
    """Refuse data whose items are too few to be ranked as the config asks.

    Args:
        config: of the model.
        dataset: RecBole's, or a part of it.

    Raises:
        DataError: how many items there are, and the mend.
    """
    name, items = config["dataset"], dataset.item_num - 1
    if items < 2:
        raise DataError(f"data set '{name}': has {items} item, so there is nothing to choose between. Give at least two.")
    longest = max(int(k) for k in config["topk"])
    if config["eval_type"].name == _RANKING and longest > items:
        kept = [k for k in config["topk"] if int(k) <= items] or [items]
        metric = str(config["valid_metric"]).partition("@")[0]
        raise DataError(
            f"data set '{name}': has {items} items, and topk {config['topk']} asks for lists of {longest}. Set topk: {kept} and "
            f"valid_metric: {metric}@{kept[0]}."
        )


def check_trainable(config: Any, train: Any) -> None:
    """Refuse a training part with nothing in it.

    Args:
        config: of the model.
        train: the training part, a data set of RecBole.

    Raises:
        DataError: the split that has left nothing.
    """
    if not len(train):
        raise DataError(
            f"data set '{config['dataset']}': eval_args {config['eval_args']['split']} leaves {config['model']} nothing to train "
            "on. Give a larger first share, or longer histories."
        )
