"""The people of a world: who they are before any day begins. All of it is latent but the profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_esmr.emotion import Taxonomy
from recbole_esmr.simulation.random import choose, normal, uniform
from recbole_esmr.simulation.videos import Videos
from recbole_esmr.simulation.world import GROUPS, World


@dataclass(frozen=True)
class Population:
    """Traits, float32, shape (U,) unless said otherwise."""

    number: Tensor  # int64, the address of each person's random numbers
    profile: Tensor  # int64, codes in the order of the world's profile_share
    vulnerable: Tensor  # bool
    home: Tensor  # home base of valence
    susceptibility: Tensor  # multiplies the effect of what is watched
    within_sd: Tensor  # SD of ordinary days, valence
    state_sd: Tensor  # SD of the slow state, valence
    noise_sd: Tensor  # SD of the day noise, valence
    event_rate: Tensor  # share of days with a bad life event
    taste: Tensor  # (U, C · E) logits, by kind of item, in a neutral mood

    def __len__(self) -> int:
        return len(self.number)


def make_population(world: World, taxonomy: Taxonomy, number: Tensor, seed: int) -> Population:
    """Draw people; person *u* is the same alone and among ten thousand.

    Args:
        world: the world they live in.
        taxonomy: the emotions.
        number: (U,) int64, their numbers; all tensors are made on its device.
        seed: of the world.
    """
    settings, affect = world.population, world.affect
    vulnerable = uniform(seed, "vulnerable", number) < settings.vulnerable_share
    group = vulnerable.long()

    def of_group(values: Mapping[str, float]) -> Tensor:
        return torch.tensor([values[name] for name in GROUPS], dtype=torch.float32, device=number.device)[group]

    spread = settings.susceptibility_spread
    susceptibility = torch.exp(spread * normal(seed, "susceptibility", number) - spread**2 / 2)
    categories, emotions = len(world.catalogue.category_share), len(taxonomy)
    for_category = normal(seed, "taste category", number, index=torch.arange(categories, device=number.device))
    for_emotion = normal(seed, "taste emotion", number, index=torch.arange(emotions, device=number.device))
    taste = (for_category[:, :, None] + for_emotion[:, None, :]) / 2**0.5
    within, share = of_group(affect.within_sd), of_group(affect.state_share)
    return Population(
        number=number,
        profile=choose(settings.profile_share, uniform(seed, "profile", number)),
        vulnerable=vulnerable,
        home=(of_group(settings.home) + of_group(settings.home_sd) * normal(seed, "home", number)).clamp(-0.9, 0.9),
        susceptibility=of_group(settings.susceptibility) * susceptibility,
        within_sd=within,
        state_sd=within * share.sqrt(),
        noise_sd=within * (1 - share).sqrt(),
        event_rate=of_group(affect.event_rate),
        taste=settings.taste_strength * taste.flatten(1),
    )


def known_taste(world: World, people: Population, catalogue: Videos, seed: int) -> Tensor:
    """The platform's estimate, (U, I) logits, of how much each person likes each item: the truth and an error that stays."""
    item = torch.arange(len(catalogue), device=people.number.device)
    error = world.feed.knowledge_noise * normal(seed, "known taste", people.number, index=item)
    return people.taste[:, catalogue.kind] + catalogue.quality + error
