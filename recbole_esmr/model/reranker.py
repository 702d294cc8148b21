"""The re-ranker's value function: Q of showing an item to a person in a state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ItemValue(nn.Module):
    """Two Q networks over (state, item), and their slowly following targets.

    The value of a slate is the mean of its items' values (the decomposition of SlateQ, Ie et al. 2019, with equal attention to
    every place), so the best slate is the K best items.

    Args:
        state_size: features S of a state.
        item_size: features X of an item in a state.
        hidden_size: width of the networks.
    """

    def __init__(self, state_size: int, item_size: int, hidden_size: int) -> None:
        super().__init__()
        self.online = nn.ModuleList(_network(state_size + item_size, hidden_size) for _ in range(2))
        self.target = nn.ModuleList(_network(state_size + item_size, hidden_size) for _ in range(2))
        self.target.requires_grad_(False)
        self.follow(1.0)

    def forward(self, state: Tensor, item: Tensor) -> Tensor:
        """Value of each item: the smaller of the two networks' answers.

        Args:
            state: (…, S).
            item: (…, K, X).

        Returns:
            (…, K).
        """
        return self.both(state, item).amin(dim=0)

    def both(self, state: Tensor, item: Tensor) -> Tensor:
        """Answers of both online networks, (2, …, K)."""
        return self._ask(self.online, state, item)

    def next_value(self, state: Tensor, item: Tensor, shown: Tensor, slate_size: Tensor) -> Tensor:
        """Double-Q value of the best slate from ``item``: chosen by the online networks, judged by the targets.

        .. math:: V(s) = \\frac1K \\sum_{i \\in \\text{top-}K\\, Q(s, \\cdot)} \\min_j Q'_j(s, i)

        Args:
            state: (B, S).
            item: (B, C, X) the candidates.
            shown: (B, C) bool, which of them exist.
            slate_size: (B,) number of items to choose, at most the number that exist.

        Returns:
            (B,), 0 where there is no candidate.
        """
        chosen = self(state, item).masked_fill(~shown, -torch.inf)
        rank = chosen.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1, stable=True)
        inside = (rank < slate_size[:, None]) & shown
        value = self._ask(self.target, state, item).amin(dim=0)
        return (value * inside).sum(dim=-1) / inside.sum(dim=-1).clamp(min=1)

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        """Move the targets by ``rate`` toward the online networks."""
        for target, online in zip(self.target.parameters(), self.online.parameters(), strict=True):
            target.lerp_(online, rate)

    @staticmethod
    def _ask(networks: nn.ModuleList, state: Tensor, item: Tensor) -> Tensor:
        spread = state.unsqueeze(-2).expand(*item.shape[:-1], state.shape[-1])
        joined = torch.cat([spread, item], dim=-1)
        return torch.stack([network(joined).squeeze(-1) for network in networks])


def _network(inputs: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
