"""Offline reinforcement learning: transitions of user-days, n-step returns, double Q-learning. Knows arrays alone."""
