"""A trial with people: planned before the first of them, assigned by hash, analysed as it was planned."""
