"""What a measurement is taken from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cytoflow_car.errors import MeasurementError
from cytoflow_car.measure.detection import CLAIMS, DetectionRule, judge, rule_of_placement
from cytoflow_car.measure.reporting import report_value
from cytoflow_car.model.antigen import AntigenProfile
from cytoflow_car.model.gate import Background
from cytoflow_car.model.measurement import Measurement, Status
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import Population, PopulationTree


@dataclass(frozen=True, slots=True)
class TubeFacts:
    """What the sample sheet says of a tube beside its events.

    Attributes
    ----------
    wbc_10e9_per_l, alc_10e9_per_l
        White cells and lymphocytes of the blood count, 10⁹ a litre.
    beads_per_tube
        Counting beads that were added.
    volume_ul
        Specimen that was stained, in µL.
    dilution
        Factor by which the specimen was diluted before.
    count_doubts
        Flags of a blood count that is implausible or of another day.
    """

    wbc_10e9_per_l: float | None = None
    alc_10e9_per_l: float | None = None
    beads_per_tube: float | None = None
    volume_ul: float | None = None
    dilution: float = 1.0
    count_doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class MeasureContext:
    """One gated specimen and what its measurements need.

    Attributes
    ----------
    tree, prepared
        The populations and their events.
    tube
        Facts from the sheet.
    detection
        The template's detection table, by assay.
    confidence
        Of every interval.
    antigens
        Profiles of the template's antigens, by name.
    """

    tree: PopulationTree
    prepared: PreparedEvents
    tube: TubeFacts
    detection: Mapping[str, DetectionRule] = field(default_factory=dict)
    confidence: float = 0.95
    antigens: Mapping[str, AntigenProfile] = field(default_factory=dict)

    def not_gated(self, *names: str) -> tuple[str, ...]:
        """Return the flags of those populations that could not be gated for want of a marker."""
        return tuple(
            flag
            for name in names
            for flag in self.tree[name].flags
            if flag.startswith(("MARKER_MISSING", "NOT_GATED"))
        )

    def is_claimed(self, population: str, assay: str) -> bool:
        """Tell whether an assay claims that a population is there at all.

        What is measured of events that may all be background is not measured of that population.
        """
        if not assay:
            return True
        item = self.tree[population]
        background, n_parent = self.background(item)
        rule = replace(self.rule(assay, population, n_parent), least_events={})
        verdict = judge(
            item.count, n_parent, rule, self.tree, n_parent=n_parent, background=background
        )
        return verdict.status in CLAIMS

    def rule(self, assay: str, population: str, n_denominator: int) -> DetectionRule:
        """Return an assay's rule as it holds for a population of this specimen."""
        return rule_of_placement(
            self.detection[assay], self.tree[population], self.tree, n_denominator
        )

    def count_within(self, population: str, denominator: str) -> tuple[int, int]:
        """Return both counts, having made sure that the denominator holds the population.

        Raises
        ------
        MeasurementError
            Some events of the population lie outside the denominator.
        """
        inside, whole = self.tree[population], self.tree[denominator]
        # A population always lies within those above it; others are compared event by event.
        above = {item.name for item in self.tree.ancestors(population)}
        if denominator not in above:
            in_whole = np.zeros(len(self.prepared), dtype=bool)
            in_whole[whole.rows] = True
            outside = int(np.count_nonzero(~in_whole[inside.rows]))
            if outside:
                raise MeasurementError(
                    f"{outside} of {inside.rows.size} events of {population!r} lie outside "
                    f"{denominator!r}",
                    expected="a denominator that holds the population",
                    advice="Make the denominator an ancestor, or an 'or' that includes it",
                )
        return inside.count, whole.count

    def background(self, population: Population) -> tuple[Background | None, int]:
        """Return the control's count in a population's gate, and the events its rate refers to."""
        background = population.placement.background if population.placement is not None else None
        parent = background.parent if background is not None else ""
        return background, self.tree[parent or population.parent or population.name].count


def without_value(
    name: str,
    population: str,
    denominator: str,
    unit: str,
    status: Status,
    flags: tuple[str, ...],
) -> Measurement:
    """Return a measurement that could not be taken."""
    return Measurement(
        name,
        population,
        denominator,
        None,
        unit,
        status,
        value_reported=report_value(None, status, interval=None, lod=None, loq=None),
        flags=tuple(dict.fromkeys(flags)),
    )
