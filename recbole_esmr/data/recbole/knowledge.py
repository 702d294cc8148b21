"""Knowledge graphs: whether ``.inter``, ``.link`` and ``.kg`` name the same things, and what is lost where they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from recbole_esmr.data.reading.partners import partners
from recbole_esmr.errors import DataError


def filter_link(original: Callable[..., Any], dataset: Any) -> None:
    """``KnowledgeBasedDataset._filter_link``: RecBole leaves out interactions with items that have no entity; they are counted.

    Args:
        original: RecBole's own method.
        dataset: RecBole's data set, ids as text.

    Raises:
        DataError: the files spell the same ids differently, or no interaction is left.
    """
    name, item = dataset.dataset_name, dataset.iid_field
    before = dataset.inter_feat[item].copy()
    links = pd.Series(dataset.item2entity, dtype=object)
    entities = pd.concat([dataset.kg_feat[dataset.head_entity_field], dataset.kg_feat[dataset.tail_entity_field]])
    items = partners(f"{name}.link", pd.Series(links.index, name=item, dtype=object), before)
    items.check_spelling()
    graph = partners(f"{name}.link", links.rename(dataset.entity_field), entities)
    graph.check_spelling(".kg")
    original(dataset)
    left = len(dataset.inter_feat)
    if left < len(before):
        lost = len(set(before) - set(dataset.item2entity))
        said = (
            f"{name}.link: {lost} of {items.known} items of .inter have no entity that {name}.kg knows, so "
            f"{dataset.config['model']} reads {left} of {len(before)} interactions"
        )
        if not left:
            raise DataError(f"{said}. Write the items' ids of .inter in .link, and the entities' ids of .kg.")
        dataset.logger.warning(said + ".")
