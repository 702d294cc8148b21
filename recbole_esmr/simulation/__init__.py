"""Worlds in which feeds move moods: the judge of a policy. Nothing that is trained ever imports this room."""

from recbole_esmr.simulation.env import FeedEnv
from recbole_esmr.simulation.logs import simulate
from recbole_esmr.simulation.world import World, load_world

__all__ = ["FeedEnv", "World", "load_world", "simulate"]
