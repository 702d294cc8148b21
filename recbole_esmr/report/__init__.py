"""Results to look at: tables for the terminal, for Markdown and for a paper."""
