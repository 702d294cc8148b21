"""Texts of items labelled with what they express."""
