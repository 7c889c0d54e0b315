"""Antigens of a population: density, share of carriers, heterogeneity, change."""
