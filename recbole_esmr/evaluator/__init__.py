"""Judging: RecBole metrics of emotion, and how well the encoder forecasts beside simple baselines."""
