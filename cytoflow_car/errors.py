"""Every error that cytoflow-car raises on purpose.

::

    CytoflowCarError
    ├── FcsError                 a file cannot be read as list-mode FCS
    │   ├── NotFcsError              it is not an FCS file at all
    │   ├── FcsHeaderError           HEADER is torn or contradicts the file
    │   ├── FcsTextError             TEXT is torn, or a required keyword is missing
    │   ├── FcsDataError             DATA disagrees with what TEXT says of it
    │   ├── FcsUnsupportedError      legal or known, but not list mode that we read
    │   └── FcsDatasetError          the data set asked for is not in the file
    ├── PanelError               the file's channels do not fit the template's markers
    ├── SpilloverError           missing, singular or contradictory spillover
    ├── ScaleError               a scale's parameters are impossible
    ├── GateError                a gate's geometry or placement is impossible
    ├── MeasurementError         a measurement asks for what is not there
    ├── TemplateError            a gating template is wrong
    ├── ClusteringError          events cannot be clustered or named
    ├── ReferenceError           a reference of normal specimens is missing, wrong or does not fit
    ├── CalibrationError         beads give no calibration, or it does not hold for these events
    ├── OutcomeError             courses or times to events cannot be summarised as asked
    ├── InteropError             another program cannot be used, or its data not be taken over
    └── StudyError               the study folder (sheet, overrides …) is wrong

An error says where, what was found, what was expected and what to do. Anything that is not a
`CytoflowCarError` is a bug of ours, and is treated as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self


class CytoflowCarError(Exception):
    """Root of the errors that a person can act on.

    Parameters
    ----------
    problem
        What is wrong, in one clause and with the value that was found.
    where
        The place: a file, and inside it a row, column, keyword or population.
    expected
        What would have been right.
    advice
        What to do about it.
    """

    #: Stable name of the kind of error; lands in ``failures.csv``.
    code = "error"

    def __init__(
        self, problem: str, *, where: str = "", expected: str = "", advice: str = ""
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where
        self.expected = expected
        self.advice = advice

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        if self.expected:
            text += f"; expected {self.expected}"
        if self.advice:
            text += f". {self.advice}"
        return text

    def at(self, where: str) -> Self:
        """Return the same error with its place prefixed by `where` (for example the sample)."""
        place = f"{where}, {self.where}" if self.where else where
        return type(self)(self.problem, where=place, expected=self.expected, advice=self.advice)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling between processes.
        return _rebuild, (type(self), self.problem, self.where, self.expected, self.advice)


def hide_files(text: str, told: Mapping[Path, str]) -> str:
    """Return a text without paths and names of files, which may tell of a patient.

    Parameters
    ----------
    told
        What stands in place of each file.
    """
    for path, name in told.items():
        text = text.replace(str(path), name).replace(path.name, name)
    return text


def _rebuild(
    kind: type[CytoflowCarError], problem: str, where: str, expected: str, advice: str
) -> CytoflowCarError:
    return kind(problem, where=where, expected=expected, advice=advice)


class FcsError(CytoflowCarError):
    """A file cannot be read as list-mode FCS."""

    code = "fcs"


class NotFcsError(FcsError):
    """The file does not begin with an FCS version."""

    code = "fcs_not_fcs"


class FcsHeaderError(FcsError):
    """The HEADER segment is torn or points outside the file."""

    code = "fcs_header"


class FcsTextError(FcsError):
    """The TEXT segment is torn, or a keyword that is needed is missing or unreadable."""

    code = "fcs_text"


class FcsDataError(FcsError):
    """The DATA segment disagrees with what TEXT says of it."""

    code = "fcs_data"


class FcsUnsupportedError(FcsError):
    """The file is FCS of a kind that is refused by name."""

    code = "fcs_unsupported"


class FcsDatasetError(FcsError):
    """The data set asked for is not in the file."""

    code = "fcs_dataset"


class PanelError(CytoflowCarError):
    """The channels of a file do not fit the markers of a template."""

    code = "panel"


class SpilloverError(CytoflowCarError):
    """Spillover is missing, singular, ill-conditioned or contradicts the file."""

    code = "spillover"


class ScaleError(CytoflowCarError):
    """A scale cannot exist with these parameters."""

    code = "scale"


class GateError(CytoflowCarError):
    """A gate's geometry or its placement is impossible."""

    code = "gate"


class MeasurementError(CytoflowCarError):
    """A measurement asks for a population, denominator or quantity that is not there."""

    code = "measurement"


class TemplateError(CytoflowCarError):
    """A gating template cannot be used as it is written."""

    code = "template"


class ClusteringError(CytoflowCarError):
    """Events cannot be clustered or named: too many, too few, or channels that are not theirs."""

    code = "clustering"

    @property
    def flag(self) -> str:
        """Flag of a result that lacks what could not be clustered; flags are parted by ``;``."""
        return f"NOT_CLUSTERED:{str(self).replace(';', ',')}"


class ReferenceError(CytoflowCarError):
    """A reference of normal specimens is missing, wrong, or not one for these events."""

    code = "reference"


class CalibrationError(CytoflowCarError):
    """Beads or their kit give no calibration, or a calibration does not hold for these events."""

    code = "calibration"


class OutcomeError(CytoflowCarError):
    """A course or times to events cannot be summarised as asked: too little, or misleading."""

    code = "outcome"


class InteropError(CytoflowCarError):
    """Another program cannot be used here, or what it made cannot be taken over as it is."""

    code = "interop"


class StudyError(CytoflowCarError):
    """The study folder is wrong; `problems` lists every fault that was found."""

    code = "study"

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        expected: str = "",
        advice: str = "",
        problems: tuple[StudyError, ...] = (),
    ) -> None:
        super().__init__(problem, where=where, expected=expected, advice=advice)
        self.problems = problems or (self,)

    @classmethod
    def of(cls, problems: list[StudyError]) -> StudyError:
        """Gather several faults into one error, so that a sheet is corrected in one go."""
        if len(problems) == 1:
            return problems[0]
        return cls(f"{len(problems)} faults in the study folder", problems=tuple(problems))

    def __str__(self) -> str:
        text = super().__str__()
        if self.problems != (self,):
            text += "".join(f"\n  {problem}" for problem in self.problems)
        return text
