"""ESMR and its parts: emotion encoder, engagement ranker, re-ranker, gate."""
