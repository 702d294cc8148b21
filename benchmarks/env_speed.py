"""How many impressions a second does FeedEnv.step live, against one person at a time in plain Python?

    python benchmarks/env_speed.py                   # 1k, 10k and 100k people, one core
    python benchmarks/env_speed.py --million         # and a million people x 30 days in chunks, with memory
    python benchmarks/env_speed.py --device=cuda     # the same steps on a GPU

Both live the same rules: taste, mood, fatigue, watching, exposure with habituation, life events, reports, churn. Slates are drawn
beforehand, so only the steps are timed. Impressions are those that were shown, not the empty places of shorter slates.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import time

import numpy as np
import torch

from recbole_esmr.evaluator.rollout import joined, rolled_out
from recbole_esmr.policy.untrained import Positive
from recbole_esmr.simulation import FeedEnv, World, load_world
from recbole_esmr.simulation.days import item_names, rollout_days

ITEMS = 1000


def vectorised(world: World, users: int, days: int, device: str | None) -> float:
    """Impressions a second of FeedEnv.step."""
    env = FeedEnv(world, users, ITEMS, seed=1, device=device)
    env.reset(seed=1)
    shown, seconds = 0, 0.0
    generator = np.random.default_rng(0)
    for _ in range(days):
        morning, place = env.morning(), np.arange(env.slate_width)
        offered = generator.permutation(np.flatnonzero(morning.pool))
        slates = offered[(generator.integers(len(offered), size=(users, 1)) + place) % len(offered)]
        slates[place >= morning.slate_size[:, None]] = -1
        slates = torch.from_numpy(slates).to(env.device)
        _wait(device)
        start = time.perf_counter()
        env.step(slates)
        _wait(device)
        seconds += time.perf_counter() - start
        shown += int(morning.slate_size.sum())
    return shown / seconds


def _wait(device: str | None) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


class PlainPerson:
    """One person in plain Python: the rules of FeedEnv with the random module's numbers."""

    def __init__(self, world: World, env: FeedEnv, number: int, generator: random.Random) -> None:
        people = env.people
        self.world, self.random = world, generator
        self.home, self.within = float(people.home[number]), float(people.within_sd[number])
        self.state_sd, self.noise_sd = float(people.state_sd[number]), float(people.noise_sd[number])
        self.susceptibility, self.event_rate = float(people.susceptibility[number]), float(people.event_rate[number])
        self.taste = people.taste[number].tolist()
        self.effect, self.usual = env.exposure.effect.tolist(), env.exposure.usual.tolist()
        self.places = list(zip(env.taxonomy.valence.tolist(), env.taxonomy.arousal.tolist(), strict=True))
        profile = list(world.population.profile_share)[int(people.profile[number])]
        self.churn, self.returning = world.retention.churn[profile], world.retention.returning[profile]
        self.state, self.load, self.active = generator.gauss(0, self.state_sd), list(self.usual), True
        self.wake()

    def wake(self) -> None:
        self.valence = max(-1.0, min(1.0, self.home + self.state + self.random.gauss(0, self.noise_sd)))

    def step(self, slate: list[int], items: list[tuple]) -> float:
        """Live a day; returns the watch seconds."""
        world, draw = self.world, self.random
        mood = max(-2.0, min(2.0, (self.valence - self.home) / self.within))
        pull = world.population.congruence * mood
        felt, watched = [0.0] * len(self.usual), 0.0
        last = max(world.feed.session_size - 1, 1)
        for place, item in enumerate(slate if self.active else []):
            kind, appeal, tone, emotion, intensity, duration = items[item]
            liking = self.taste[kind] + appeal + pull * tone - world.feed.fatigue * (place % world.feed.session_size) / last
            if draw.random() < 1 / (1 + math.exp(-liking)):
                ratio = 0.05 + 0.95 * draw.random() ** math.exp(-0.5 * liking)
                felt[emotion] += ratio * intensity
                watched += ratio * duration
        impact, kept = 0.0, 0.5 ** (1 / world.exposure.habituation_days)
        for emotion, usual in enumerate(self.usual):
            felt[emotion] /= max(len(slate), 1)
            factor = (1 + world.exposure.habituation) / (1 + world.exposure.habituation * self.load[emotion] / max(usual, 1e-6))
            impact += (felt[emotion] - usual) * self.effect[emotion] * factor
            self.load[emotion] = kept * self.load[emotion] + (1 - kept) * felt[emotion]
        impact *= self.susceptibility * self.within * self.active
        self.report()
        event = draw.expovariate(1 / world.affect.event_size) if draw.random() < self.event_rate else 0.0
        inertia = world.affect.inertia
        innovation = draw.gauss(0, self.state_sd * math.sqrt(1 - inertia**2))
        self.state = inertia * self.state + innovation - event + self.event_rate * world.affect.event_size + impact
        held = watched / max(len(slate), 1) / world.catalogue.duration_median
        satisfied = (held - world.exposure.usual_watch) / 0.1
        stop = min(1.0, self.churn * math.exp(-world.retention.loyalty * satisfied))
        self.active = draw.random() >= stop if self.active else draw.random() < self.returning
        self.wake()
        return watched

    def report(self) -> int:
        settings, arousal = self.world.observation, 0.3 + 0.4 * self.random.gauss(0, 1)
        best, label = -math.inf, -1
        for code, (valence, excited) in enumerate(self.places):
            far = (settings.report_gain * self.valence - valence) ** 2 + (arousal - excited) ** 2
            score = -math.log(-math.log(self.random.random() or 0.5)) - far / (2 * settings.report_noise**2)
            if score > best:
                best, label = score, code
        return label if self.random.random() < settings.report_share else -1


def one_at_a_time(world: World, users: int, days: int) -> float:
    """Impressions a second of the plain environment."""
    env, generator = FeedEnv(world, users, ITEMS, seed=1), random.Random(1)
    catalogue = env.catalogue
    appeal = env._appeal.tolist()
    columns = (catalogue.tone.tolist(), catalogue.emotion.tolist(), catalogue.intensity.tolist(), catalogue.duration.tolist())
    items = list(zip(catalogue.kind.tolist(), appeal, *columns, strict=True))
    people = [PlainPerson(world, env, number, generator) for number in range(users)]
    size = max(1, round(sum(world.feed.sessions.values()) / 3 * world.feed.session_size))
    slates = [[generator.randrange(ITEMS) for _ in range(size)] for _ in range(users)]
    shown, start = 0, time.perf_counter()
    for _ in range(days):
        for person, slate in zip(people, slates, strict=True):
            shown += size * person.active
            person.step(slate, items)
    return shown / (time.perf_counter() - start)


def million(world: World, users: int = 1_000_000, days: int = 30, chunk: int = 20_000) -> None:
    """Live a million people in chunks under the positive feed, keep what the figures need, and report time and memory."""
    start, parts = time.perf_counter(), []
    for first in range(0, users, chunk):
        env = FeedEnv(world, np.arange(first, first + chunk), ITEMS, seed=1)
        policy = Positive(item_names(ITEMS), env.catalogue.tone.numpy())
        parts.append(rolled_out(env, rollout_days(env, policy, days, counts=False), seed=0))
    every = joined(parts)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = time.perf_counter() - start
    print(f"{len(every):,} people x {days} days with all figures: {seconds:.0f} s, peak memory {peak:.2f} GB")
    print(f"share of negative days {every.negative_share.mean():.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--device", help="a torch device; the CPU unless given")
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = load_world("reference")
    plain = one_at_a_time(world, users=300, days=10)
    print(f"one person at a time, plain Python: {plain / 1e6:.3f} million impressions a second")
    for users in (1_000, 10_000, 100_000):
        vectorised(world, users, 1, options.device)  # warm-up
        rate = max(vectorised(world, users, 10, options.device) for _ in range(2))
        print(f"FeedEnv, {users:>7,} people: {rate / 1e6:6.2f} million impressions a second, {rate / plain:5.0f} times as fast")
    if options.million:
        million(world)


if __name__ == "__main__":
    main()
