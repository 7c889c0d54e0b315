"""Curves of an endpoint: of all patients, of groups, from landmarks, and what competes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.analysis import Becoming, Endpoint, Question
from cytoflow_car.outcome.curves import (
    Curve,
    cumulative_incidence,
    kaplan_meier,
    kaplan_meier_by,
)
from cytoflow_car.outcome.follow_up import Covariate, FollowUp, split
from cytoflow_car.outcome.log_rank import compare_groups
from cytoflow_car.outcome.time_dependent import take_landmark

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Name of a figure, and what draws it: None where there is nothing to draw.
Drawing = tuple[str, Callable[[], "Figure | None"]]

#: So many patients are named in a note; more are counted.
_MOST_NAMED = 8
_OUTCOMES = {"LFS": "Leukemia-free survival", "OS": "Overall survival"}


@dataclass(frozen=True, slots=True)
class SurvivalFigures:
    """The curves of one endpoint.

    Attributes
    ----------
    words
        Names of groups and becomings as they are written; others stand as they are.
    end
        Of all follow-up; 0 for that of the endpoint.
    """

    endpoint: Endpoint
    question: Question
    unit: str
    origin: str
    words: Mapping[str, str] = field(default_factory=dict)
    end: float = 0.0

    def drawings(
        self, becomings: Iterable[Becoming], notes: Sequence[str] = ()
    ) -> Iterator[Drawing]:
        """Yield survival: of all, of groups, and from landmarks, and what competes."""
        name = self.endpoint.name.lower()
        yield name, partial(self._survival, notes)
        if self._events & self.endpoint.competing:
            yield f"{name}_competing", partial(self.incidence, self._main)
        for number, group in enumerate(self.question.groups, start=1):
            yield f"{name}_by_group_{number}", partial(self._by_group, group, notes)
        for item in becomings:
            for at in self.question.landmarks:
                yield (
                    f"{name}_landmark_{at:g}_{item.name}",
                    partial(self._landmark, item, at, notes),
                )
                if self.endpoint.name == "LFS":
                    yield (
                        f"{name}_incidence_landmark_{at:g}_{item.name}",
                        partial(self._incidence_from_landmark, item, at),
                    )

    @property
    def _events(self) -> set[str]:
        return {item.event for item in self.endpoint.follow_ups if item.event}

    @property
    def _main(self) -> str:
        """The event whose incidence is drawn: relapse, else the first of the endpoint's own."""
        own = sorted(self._events - self.endpoint.competing)
        return "relapse" if "relapse" in own else next(iter(own), "")

    def incidence(self, event: str, notes: Sequence[str] = ()) -> Figure | None:
        """Draw the cumulative incidence of an event with every event that competes."""
        return self._draw_incidence({"all": self.endpoint.follow_ups}, event, self.end, notes=notes)

    def _draw_incidence(
        self,
        groups: Mapping[str, Sequence[FollowUp]],
        event: str,
        end: float,
        landmark: float | None = None,
        notes: Sequence[str] = (),
    ) -> Figure | None:
        from cytoflow_car.report import figures

        happened = {item.event for own in groups.values() for item in own if item.event}
        if event not in happened:
            return None
        curves = {
            name: {label: cumulative_incidence(own, name) for label, own in groups.items()}
            for name in happened
        }
        return figures.draw_cumulative_incidence(
            curves[event],
            competing=[curves[other] for other in sorted(happened - {event})],
            unit=self.unit,
            origin=self.origin,
            landmark=landmark,
            end=end,
            notes=notes,
        )

    def _draw(self, curves: Mapping[str, Curve], notes: Sequence[str], **more: Any) -> Figure:
        from cytoflow_car.report import figures

        title = _OUTCOMES.get(self.endpoint.name, self.endpoint.name)
        return figures.draw_survival(
            curves, outcome=title, unit=self.unit, origin=self.origin, notes=notes, **more
        )

    def _survival(self, notes: Sequence[str]) -> Figure:
        return self._draw({"all": kaplan_meier(self.endpoint.censored_at_competing)}, notes)

    def _by_group(self, group: Covariate, notes: Sequence[str]) -> Figure | None:
        follow_ups = self.endpoint.censored_at_competing
        known = tuple(item for item in follow_ups if item.patient_id in group.values)
        allowed = self.question.allow_immortal_time
        try:
            curves = kaplan_meier_by(known, group, allow_immortal_time=allowed)
            test = compare_groups(known, group, allow_immortal_time=allowed)
        except OutcomeError:
            # The statistics say why there is none.
            return None
        if len(curves) > 4:
            return None
        named = {self._group(group.name, label): curve for label, curve in curves.items()}
        left = [item.patient_id for item in follow_ups if item.patient_id not in group.values]
        who = ", ".join(left) if len(left) <= _MOST_NAMED else f"{len(left)} patients"
        missing = [f"Not known, and left out: {who}."] if left else []
        return self._draw(named, [*notes, *missing], test=test)

    def _landmark(self, item: Becoming, at: float, notes: Sequence[str]) -> Figure | None:
        groups = self._from_landmark(self.endpoint.censored_at_competing, item, at)
        if len(groups) < 2:
            return None
        curves = {name: kaplan_meier(own) for name, own in groups.items()}
        return self._draw(curves, notes, landmark=at)

    def _incidence_from_landmark(self, item: Becoming, at: float) -> Figure | None:
        groups = self._from_landmark(self.endpoint.follow_ups, item, at)
        if len(groups) < 2:
            return None
        return self._draw_incidence(groups, self._main, max(self.end - at, 0.0), at)

    def _from_landmark(
        self, follow_ups: Sequence[FollowUp], item: Becoming, at: float
    ) -> dict[str, tuple[FollowUp, ...]]:
        """Return who was still followed, by what they had become; empty where it cannot be."""
        start = {person.patient_id: 0.0 for person in follow_ups}
        try:
            found = take_landmark(follow_ups, start, item.changes_of(follow_ups), item.name, at)
            groups, _ = split(found.follow_ups, found.covariate, allow_immortal_time=False)
        except OutcomeError:
            # The statistics say why.
            return {}
        return {self._group(item.name, label): own for label, own in groups.items()}

    def _group(self, name: str, label: float | str) -> str:
        return f"{self.words.get(name, name)}: {_word(label)}"


def _word(label: float | str) -> str:
    if isinstance(label, str):
        return label
    return {0.0: "no", 1.0: "yes"}.get(label, f"{label:g}")
