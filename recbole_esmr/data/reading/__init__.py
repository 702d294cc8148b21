"""Reading what others wrote: atomic files as text, their columns and days, and whether the files agree."""
