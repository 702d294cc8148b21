"""The encoder's two attentions: over what is known of a day, and over the days."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

BINS = 4
"""Quantile bins of the piecewise-linear encoding of a number."""


class WithinDay(nn.Module):
    """Attention within a day: a [CLS] query reads the day's feature tokens (FT-Transformer, Gorishniy et al. 2021).

    A number is encoded piecewise linearly over its quantiles (Gorishniy et al. 2022), so that a token can bend where the data
    do. Its token is linear in that, in the number itself and in the number on the person's own scale, or a vector of its own
    where the number is missing. A token of a category is an embedding. Each head scores the tokens and mixes their values; keys
    and values are linear in the token, so they are learned for each feature at once, and a day costs what its tokens cost, not
    their square.

    Args:
        features: number F of numeric features.
        sizes: number of codes of each categorical feature.
        width: of a day vector H.
        heads: attention heads.
        attend: false takes the plain mean of the tokens, for comparison.
    """

    edges: Tensor

    def __init__(
        self, features: int, sizes: tuple[int, ...], width: int, heads: int, dropout: float, attend: bool = True
    ) -> None:
        super().__init__()
        self.heads, self.attend = heads, attend
        parts = 4 + BINS  # the number, on the person's own scale, known, missing, and its place among the quantiles
        self.value = nn.Parameter(torch.randn(parts, features, width) / math.sqrt(width))
        self.key = nn.Parameter(torch.zeros(parts, features, heads))
        self.register_buffer("edges", torch.linspace(-2, 2, BINS + 1).repeat(features, 1))
        tables = [nn.Embedding(size, width + heads) for size in sizes]
        for table in tables:
            nn.init.normal_(table.weight, std=1 / math.sqrt(width))
        self.codes = nn.ModuleList(tables)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, own: Tensor, known: Tensor, codes: list[Tensor]) -> Tensor:
        """(B, D, F) numbers, their own-scaled twins and whether they are known, (B, D) codes → (B, D, H)."""
        there = known.to(features.dtype)
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        place = ((features[..., None] - low) / (high - low)).clamp(0, 1)
        parts = torch.cat([torch.stack([features, own, torch.ones_like(own)], dim=-1), place], dim=-1) * there[..., None]
        parts = torch.cat([parts, 1 - there[..., None]], dim=-1)  # (B, D, F, 4 + BINS)
        values = self.value.unflatten(-1, (self.heads, -1))  # (4 + BINS, F, heads, w)
        tables = [table(code) for table, code in zip(self.codes, codes, strict=True)]
        width = self.value.shape[-1]
        scores = [torch.einsum("bdfk,kfh->bdfh", parts, self.key), *(table[..., None, width:] for table in tables)]
        score = torch.cat(scores, dim=2)
        weight = score.softmax(dim=2) if self.attend else torch.full_like(score, 1 / score.shape[2])
        count = features.shape[-1]
        # weight of a token times its parts first: the (B, D, F, H) values are never made
        weighted = weight[:, :, :count].permute(3, 0, 1, 2)[..., None] * parts  # (heads, B, D, F, 4 + BINS)
        day = torch.bmm(weighted.flatten(3).flatten(1, 2), values.permute(2, 1, 0, 3).flatten(1, 2))  # (heads, B · D, w)
        day = day.transpose(0, 1).reshape(*parts.shape[:2], self.heads, -1)
        for index, table in enumerate(tables):
            day = day + weight[:, :, count + index, :, None] * table[..., :width].unflatten(-1, (self.heads, -1))
        day = day.flatten(2) * math.sqrt(score.shape[2])
        return day + self.dropout(self.mlp(day))


class AcrossDays(nn.Module):
    """A pre-norm Transformer block over days: each day attends to itself and to the known days before it.

    A score falls with the days in between, a rate a head (ALiBi, Press et al. 2022), so a gap of missing days counts as the time
    that it is, and a trace may be longer than any in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.rate = nn.Parameter(torch.linspace(-3.0, 0.0, heads))  # log of the fall in the score a day

    def forward(self, days: Tensor, present: Tensor, day: Tensor | None = None) -> Tensor:
        """(B, D, H) day vectors, (B, D) whether anything is known of each day → (B, D, H).

        ``day`` (B, D) are the days' numbers, rising where something is known; 0, 1, … unless given.
        """
        place = torch.arange(days.shape[1], device=days.device)
        number = place[None] if day is None else day
        gap = (number[:, :, None] - number[:, None, :]).clamp(min=0)
        allowed = (place[:, None] > place) & present[:, None, :] | (place[:, None] == place)
        bias = (-self.rate.exp()[:, None, None] * gap[:, None]).masked_fill(~allowed[:, None], -torch.inf)
        parts = self.project(self.before_attention(days)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        query, key, value = parts.unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(parts.dtype))
        days = days + functional.dropout(self.join(mixed.transpose(1, 2).flatten(2)), dropout)
        return days + functional.dropout(self.mlp(self.before_mlp(days)), dropout)
