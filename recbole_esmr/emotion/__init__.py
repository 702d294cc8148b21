"""What an emotion is: the taxonomy (label → valence, arousal) and the episodes of a trajectory."""

from recbole_esmr.emotion.taxonomy import Taxonomy, load_taxonomy

__all__ = ["Taxonomy", "load_taxonomy"]
