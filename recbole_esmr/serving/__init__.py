"""Feeds for single people: an artifact that knows nobody, profiles that people may hold themselves, and a service on both."""
