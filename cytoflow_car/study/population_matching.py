"""Which population of ours is which of a person's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cytoflow_car.errors import StudyError
from cytoflow_car.interop.gate_set import Path, name_populations


@dataclass(frozen=True, slots=True)
class Match:
    """A pair of populations that are meant to be the same.

    Attributes
    ----------
    ours
        Path from the first population below the root down.
    theirs
        The person's; several only where the union of labels is meant.
    """

    ours: Path
    theirs: tuple[Path, ...]


def match_populations(
    ours: Iterable[Path], theirs: Iterable[Path], given: Mapping[str, Sequence[str]]
) -> tuple[Match, ...]:
    """Pair populations: as given, by path, by the name a template would have, by like names.

    Parameters
    ----------
    ours, theirs
        Paths. The last name of ours is unique.
    given
        Our population's name to one or several of theirs, as `split_match` returned them. Neither
        side is then paired otherwise.

    Returns
    -------
    In the order of ours. Names are alike that differ only by case and spaces; a name that is
    alike to two is paired with none.
    """
    ours, theirs = list(ours), list(theirs)
    names = name_populations(theirs)
    taken = {name for several in given.values() for name in several}
    left = [path for path in theirs if not _is_named(path, names, taken)]
    own = [path for path in ours if path[-1] not in given]
    found: dict[Path, tuple[Path, ...]] = {}
    for path in ours:
        wanted = given.get(path[-1], ())
        named = tuple(item for item in theirs if _is_named(item, names, set(wanted)))
        if named:
            found[path] = named
    for path in own:
        if path in left:
            found[path] = (path,)
    last = {path: path[-1] for path in [*own, *left]}
    plain = {path: _plain(name) for path, name in last.items()}
    for name_ours, name_theirs in (
        (last, names),
        (plain, {path: _plain(name) for path, name in names.items()}),
        (plain, plain),
    ):
        paired = {item for several in found.values() for item in several}
        unique_ours = _unique({path: name_ours[path] for path in own})
        unique_theirs = _unique({path: name_theirs[path] for path in left})
        for name, path in unique_ours.items():
            item = unique_theirs.get(name)
            if path not in found and item is not None and item not in paired:
                found[path] = (item,)
    return tuple(Match(path, found[path]) for path in ours if path in found)


def split_match(
    text: str, ours: Iterable[Path], theirs: Iterable[Path]
) -> tuple[str, tuple[str, ...]]:
    """Read ``OURS=THEIRS`` or ``OURS=THEIRS+THEIRS``; names may hold = and + themselves.

    Returns
    -------
    Our name and theirs. Theirs are names, or paths joined by ``/`` where a name is not unique.

    Raises
    ------
    StudyError
        One side is not known; both sides' names are listed.
    """
    own = {path[-1] for path in ours}
    theirs = list(theirs)
    known = {*map("/".join, theirs), *_unique_names(theirs)}
    pieces = text.split("=")
    for cut in range(1, len(pieces)):
        name, wanted = "=".join(pieces[:cut]).strip(), "=".join(pieces[cut:]).strip()
        several = split_names(wanted, known)
        if name in own and several:
            return name, tuple(several)
    raise StudyError(
        f"--match {text!r} names no population of both sides",
        expected=f"OURS=THEIRS; {describe_sides(own, known)}",
    )


def describe_sides(ours: Iterable[str], theirs: Iterable[str]) -> str:
    """List the names of both sides, for a message."""
    return (
        f"ours: {', '.join(sorted(set(ours))) or 'none'}; "
        f"theirs: {', '.join(sorted(set(theirs))) or 'none'}"
    )


def split_names(text: str, known: set[str]) -> list[str]:
    """Split at those + signs that leave known names only, in as few names as possible."""
    if text in known:
        return [text]
    pieces = text.split("+")
    ways: list[list[list[str]]] = [[[]], *([] for _ in pieces)]
    for end in range(1, len(pieces) + 1):
        for begin in range(end):
            name = "+".join(pieces[begin:end]).strip()
            if name in known and ways[begin]:
                ways[end].append([*min(ways[begin], key=len), name])
    return min(ways[-1], key=len) if ways[-1] else []


def _is_named(path: Path, names: Mapping[Path, str], wanted: set[str]) -> bool:
    """Tell whether a population is meant by one of the names."""
    last = path[-1] if sum(item[-1] == path[-1] for item in names) == 1 else None
    return not wanted.isdisjoint({"/".join(path), names[path], last} - {None})


def _unique_names(paths: Sequence[Path]) -> set[str]:
    names = name_populations(paths)
    return {*names.values(), *_unique({path: path[-1] for path in paths})}


def _unique(names: Mapping[Path, str]) -> dict[str, Path]:
    """Return populations by name, without names of two."""
    counts = Counter(names.values())
    return {name: path for path, name in names.items() if counts[name] == 1}


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()
