"""From logs to effects of a feed on tomorrow's mood, and from effects to a reward."""
