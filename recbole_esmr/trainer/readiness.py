"""What must hold of the data before a model is trained on them: else it is trained for nothing."""

from __future__ import annotations

from typing import Any

from recbole_esmr.errors import DataError, ESMRError

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
        raise DataError(
            f"data set '{name}': has {items} item, so there is nothing to choose between. Give at least two. (What a diary alone "
            f"foretells is shown by `recbole-esmr forecast`.)"
        )
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
        raise _nothing_to_train(config)


def unsplittable(config: Any, error: ValueError) -> ESMRError:
    """What RecBole, or torch within it, stumbled over when it made the parts, in words that name what the user can change."""
    name, said = config["dataset"], " ".join(str(error).split())
    if isinstance(error, ESMRError):
        return error
    if "num_samples=0" in said:  # torch's loader of the training part
        return _nothing_to_train(config)
    if "interacted with all items" in said:  # RecBole's sampler
        return DataError(
            f"data set '{name}': somebody has had every item, so with `repeatable: False` there is nothing left to recommend. "
            "Set repeatable: True, or leave such people out (user_inter_num_interval)."
        )
    return DataError(f"data set '{name}': {said}")


def _nothing_to_train(config: Any) -> DataError:
    return DataError(
        f"data set '{config['dataset']}': eval_args {config['eval_args']['split']} leaves {config['model']} nothing to train on "
        "(what reads a history cannot learn from a person's first interaction). Give longer histories, or a larger first share."
    )
