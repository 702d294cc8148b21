"""Extreme data, settings and files: ``python -m benchmarks.trust.extremes`` prints what each command makes of them.

Each case trains, with a warning where one is due, or ends with one clear line and status 2. None hangs, none ends with a
traceback, none gives a figure that is no number. ``tests/test_extremes.py`` runs the quick ones.
"""
