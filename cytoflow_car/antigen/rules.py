"""What a template asks of an antigen, and by which cut-offs."""

from __future__ import annotations

from dataclasses import dataclass

#: Antibodies whose dates patients.csv may give.
MASKING = ("blinatumomab", "inotuzumab", "rituximab")


@dataclass(frozen=True, slots=True)
class AntigenCutoffs:
    """Where one word for an antigen ends and the next begins; no consensus fixes any of them.

    Attributes
    ----------
    background_quantile
        An event above this quantile of the background is positive.
    negative_percent, positive_percent
        With fewer positive events a population is NEG, with more it is POS, PARTIAL between.
    dim_share
        POS with less than this share of the reference's density is DIM.
    least_events, qualitative_events
        With fewer than the first there is no status and no comparison; with fewer than the second
        they are flagged ``QUALITATIVE``.
    least_background, least_reference
        Fewest events of a control or negative population, and of the reference.
    down_log10
        A median that fell by so many decades is DOWN; one that rose as much is a GAIN.
    assay_cv
        Coefficient of variation of the density between runs: a change must exceed what two runs
        differ by, ``exp(1.96 * sqrt(2) * assay_cv)``.
    partial_points
        PARTIAL_LOSS needs so many percentage points fewer positive events, and GAIN as many more.
    alpha
        Of the one-sided exact test that the share of positive events changed.
    dip_p, bic_gain, minor_percent
        A population is bimodal where the dip test is below the first, two normal components beat
        one by the second in BIC, and the smaller holds at least the third.
    """

    background_quantile: float = 0.99
    negative_percent: float = 10.0
    positive_percent: float = 90.0
    dim_share: float = 0.2
    least_events: int = 20
    qualitative_events: int = 50
    least_background: int = 100
    least_reference: int = 50
    down_log10: float = 0.5
    assay_cv: float = 0.25
    partial_points: float = 10.0
    alpha: float = 0.05
    dip_p: float = 0.05
    bic_gain: float = 10.0
    minor_percent: float = 5.0


@dataclass(frozen=True, slots=True)
class AntigenRule:
    """An antigen on a population; a table of a template's ``[[antigens]]``.

    Attributes
    ----------
    name
        For example ``blast_cd22``; measurements and tables refer to it.
    population, marker
        Whose density of what.
    negative
        Population of the same tube without the antigen, for want of a control.
    reference
        Population of the same tube whose density tells what is dim; empty for none.
    control_population
        Population that stands for `population` in a control, where it cannot be clustered; empty
        for `population` itself.
    reagent
        The conjugate with its clone; empty for the stain's name in the file. Without it a change
        of the panel's version makes specimens NOT_COMPARABLE.
    reference_density, reference_source
        Density of normal cells with the same reagent, in antibodies bound per cell, for a tube
        without `reference`; and where it comes from.
    masking
        Antibodies that hide the antigen: ``blinatumomab``, ``inotuzumab``, ``rituximab``. Given
        between two specimens, they make these NOT_COMPARABLE.
    requires
        Assay that must find the population; empty for none.
    compared
        Whether it is compared with the patient's baseline; normal cells of one day are no measure
        of another's.
    cutoffs
        See `AntigenCutoffs`.
    """

    name: str
    population: str
    marker: str
    negative: str
    reference: str = ""
    control_population: str = ""
    reagent: str = ""
    reference_density: float | None = None
    reference_source: str = ""
    masking: tuple[str, ...] = ()
    requires: str = ""
    compared: bool = True
    cutoffs: AntigenCutoffs = AntigenCutoffs()

    @property
    def populations(self) -> tuple[str, ...]:
        """Populations that the rule looks at."""
        named = (self.population, self.negative, self.reference, self.control_population)
        return tuple(name for name in named if name)
