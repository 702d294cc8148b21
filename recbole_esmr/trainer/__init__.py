"""Training: the five stages of ESMR in order, and safe checkpoints for every RecBole trainer."""
