"""What RecBole's own data sets do differently once the plug-in is there: every model reads the same rows in the same order."""
