"""Bounds, quantiles and paired comparisons; the only place that imports numpy and scipy."""
