"""The value function: Q of showing an item in a state, as an ensemble with target networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ItemValue(nn.Module):
    r"""An ensemble of Q functions over (state, item), and their target networks.

    .. math:: Q(s, i) = B(s, i) + M(s)\, δ(s, i)

    B is learned from what was rewarded when items were shown. M is what a unit of tomorrow's mood is worth over the days that it
    lasts (the gradient of the value function, as in value-gradient learning, Fairbank & Alonso 2012), never negative; δ is the
    item's proven effect on tomorrow's valence. So what an item does to the days after goes through the mood alone.

    The value of a slate is the mean of its items' values (the decomposition of SlateQ, Ie et al. 2019, with equal attention to
    every place), so the best slate is the K best items.

    Args:
        state_size: features S of a state.
        item_size: features X of an item in a state.
        hidden_size: width of the networks.
        members: networks N of the ensemble, at least 2.
    """

    def __init__(self, state_size: int, item_size: int, hidden_size: int, members: int = 2) -> None:
        super().__init__()
        self.online, self.target = (
            nn.ModuleList(_Ensemble(members, state_size, features, hidden_size) for features in (item_size, 0)) for _ in range(2)
        )
        self.target.requires_grad_(False)
        self.soft_update(1.0)

    def reset(self, generator: torch.Generator) -> None:
        """Draw all weights anew."""
        for network in self.online:
            network.draw(generator)  # type: ignore[operator]
        self.soft_update(1.0)

    def forward(self, state: Tensor, item: Tensor, effect: Tensor, pessimism: float = 0.0) -> Tensor:
        """Value of each item, less ``pessimism`` standard deviations of the ensemble.

        Args:
            state: (B, S).
            item: (B, K, X).
            effect: (B, K) δ, in valence units.

        Returns:
            (B, K).
        """
        value = self.base(state, item) + self.mood(state)[..., None] * effect
        return value.mean(dim=0) - pessimism * value.std(dim=0)

    def base(self, state: Tensor, item: Tensor) -> Tensor:
        """B of every member, (N, B, K)."""
        return self.online[0](state, item)

    def mood(self, state: Tensor) -> Tensor:
        """M of every member, (N, B), at least 0."""
        return functional.softplus(self.online[1](state))

    @torch.no_grad()
    def next_base(self, state: Tensor, item: Tensor, shown: Tensor, size: Tensor) -> Tensor:
        r"""Double-Q value of the best slate from ``item``: chosen by the online networks, judged by the target networks.

        .. math:: V(s) = \frac1K \sum_{i \in \text{top-}K\, B(s, \cdot)} \min_j B'_j(s, i)

        The smallest of the members (An et al. 2021) keeps the maximum from feeding on errors.

        Args:
            state: (B, S).
            item: (B, C, X) the candidates.
            shown: (B, C) bool, which of them exist.
            size: (B,) number of items to choose, at most the number that exist.

        Returns:
            (B,), 0 where there is no candidate.
        """
        chosen = self.base(state, item).mean(dim=0).masked_fill(~shown, -torch.inf)
        rank = chosen.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1, stable=True)
        inside = (rank < size[:, None]) & shown
        value = self.target[0](state, item).amin(dim=0)
        return (value * inside).sum(dim=-1) / inside.sum(dim=-1).clamp(min=1)

    @torch.no_grad()
    def next_mood(self, state: Tensor) -> Tensor:
        """The least M of the target networks, (B,)."""
        return functional.softplus(self.target[1](state)).amin(dim=0)

    @torch.no_grad()
    def soft_update(self, rate: float) -> None:
        """Move the target networks by ``rate`` toward the online networks (Lillicrap et al. 2016)."""
        for target, online in zip(self.target.parameters(), self.online.parameters(), strict=True):
            target.lerp_(online, rate)


class _Ensemble(nn.Module):
    """N networks with two hidden layers, computed at once; the state enters once for all items of a row."""

    def __init__(self, members: int, state_size: int, item_size: int, hidden: int) -> None:
        super().__init__()
        sizes = {"state": (state_size, hidden), "middle": (hidden, hidden), "last": (hidden, 1)}
        if item_size:
            sizes["item"] = (item_size, hidden)
        self.weight = nn.ParameterDict({name: nn.Parameter(torch.empty(members, *size)) for name, size in sizes.items()})
        biases = (name for name in sizes if name != "item")
        self.bias = nn.ParameterDict({name: nn.Parameter(torch.empty(members, 1, sizes[name][1])) for name in biases})
        self._inputs = {"state": state_size + item_size, "item": state_size + item_size, "middle": hidden, "last": hidden}
        self.draw(None)

    @torch.no_grad()
    def draw(self, generator: torch.Generator | None) -> None:
        for group in (self.weight, self.bias):
            for name, parameter in group.items():
                bound = self._inputs[name] ** -0.5
                parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * bound)

    def forward(self, state: Tensor, item: Tensor | None = None) -> Tensor:
        """(N, B) for states (B, S) alone, (N, B, K) for items (B, K, X) in them."""
        members = len(self.weight["state"])
        hidden = torch.baddbmm(self.bias["state"], state.expand(members, *state.shape), self.weight["state"])
        shape = (members, *state.shape[:-1])
        if item is not None:
            flat = item.reshape(-1, item.shape[-1])
            of_item = torch.bmm(flat.expand(members, *flat.shape), self.weight["item"])
            hidden = (hidden[:, :, None] + of_item.view(members, *item.shape[:-1], -1)).flatten(1, 2)
            shape = (members, *item.shape[:-1])
        hidden = torch.baddbmm(self.bias["middle"], hidden.relu(), self.weight["middle"]).relu()
        return torch.baddbmm(self.bias["last"], hidden, self.weight["last"]).view(shape)
