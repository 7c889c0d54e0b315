"""Simulated cohorts of CAR T patients: FCS files with a study folder around them and the truth.

Physics and biology only: nothing here knows how the package gates or measures.
"""

from cytoflow_car.simulate.cohort import simulate_cohort

__all__ = ["simulate_cohort"]
