"""Statistics of samples, whoever took them: quantiles, shares, slopes, paired differences."""
