"""RecBole atomic files with emotions: validation, the data set, the user × day trace, the catalogue, the impressions."""
