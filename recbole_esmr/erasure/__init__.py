"""Takes people out of what was written of them: rows of files, rows of weights, and a search for what is left."""
