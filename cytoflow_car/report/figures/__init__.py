"""Figures for publication, as matplotlib figures at their size in print; nothing is read here."""

from cytoflow_car.report.figures.b_cells import draw_b_cells
from cytoflow_car.report.figures.correlation import draw_correlation
from cytoflow_car.report.figures.densities import draw_densities
from cytoflow_car.report.figures.expansion import draw_expansion
from cytoflow_car.report.figures.response import draw_response
from cytoflow_car.report.figures.saving import save_figure
from cytoflow_car.report.figures.survival import draw_cumulative_incidence, draw_survival
from cytoflow_car.report.figures.timeline import draw_timeline

__all__ = [
    "draw_b_cells",
    "draw_correlation",
    "draw_cumulative_incidence",
    "draw_densities",
    "draw_expansion",
    "draw_response",
    "draw_survival",
    "draw_timeline",
    "save_figure",
]
