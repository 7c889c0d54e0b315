"""Load FlowCytometryTools 0.5.1, which was written for Python 2.7 and numpy 1, as it is installed.

It and its reader fcsparser 0.2.4 ask Python, numpy and pandas for names that are gone. The lines
that do so are replaced in memory, in the modules of these two packages alone: no other module, no
import hook, no setting and no file is touched. As the replaced lines are their own, whatever they
call later works too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder, SourceFileLoader
from importlib.metadata import PackageNotFoundError, version
from importlib.util import module_from_spec, spec_from_file_location
from threading import Lock
from types import CodeType, ModuleType

from cytoflow_car.errors import InteropError

_INSTALL = "pip install 'cytoflow-car[flowcytometrytools]'"
_VERSIONS = {"FlowCytometryTools": "0.5.1", "fcsparser": "0.2.4"}

#: Modules in the order in which they can be run; what stands in them, and what is read instead on
#: the same line.
_AMENDED: dict[str, dict[str, str]] = {
    "fcsparser.api": {
        # ndarray.newbyteorder is gone from numpy 2; big-endian files need it.
        "data.byteswap().newbyteorder()": "data.byteswap().view(data.dtype.newbyteorder())",
    },
    "fcsparser": {},
    "FlowCytometryTools.core": {},
    "FlowCytometryTools.core.utils": {
        "import collections": "import collections.abc",
        "collections.Iterable": "collections.abc.Iterable",
        r"(?=_|\.txt)": r"(?=_|\\.txt)",
    },
    "FlowCytometryTools.core.docstring": {
        "from matplotlib import inspect": "import inspect",
    },
    "FlowCytometryTools.core.graph": {
        # matplotlib 3.11 no longer gives a figure that exists further axes in this way.
        "_, ax_subplots = plt.subplots(": "ax_subplots = fig.subplots(",
        "subplot_kw=subplot_kw, num=fig.number)": "subplot_kw=subplot_kw)",
    },
    "FlowCytometryTools.core.transforms": {
        "from numpy.lib.shape_base import": "from numpy import",
    },
    "FlowCytometryTools.core.bases": {
        "import collections": "import collections.abc",
        "collections.Mapping": "collections.abc.Mapping",
        "collections.MutableMapping": "collections.abc.MutableMapping",
        "inspect.getargspec(fun).keywords": "inspect.getfullargspec(fun).varkw",
        r"'\.'": r"'\\.'",
        # pandas 2 warns of these.
        ".applymap(": ".map(",
        "df[j][i] = res": "df.at[i, j] = res",
        # Left over from Python 2.
        ".itervalues()": ".values()",
        "func.func_code.": "func.__code__.",
    },
    "FlowCytometryTools.core.containers": {
        "import collections": "import collections.abc",
        "collections.Iterable": "collections.abc.Iterable",
        "inspect.getargspec(": "inspect.getfullargspec(",
    },
    "FlowCytometryTools": {},
}

_loading = Lock()


def load() -> ModuleType:
    """Make ``import FlowCytometryTools`` work in this process, and return the module.

    After it, the lines of an existing script run as they stand. Each process calls it for itself,
    also before it unpickles a measurement. A second call returns the same module.

    Raises
    ------
    InteropError
        It, fcsparser or what they need is not installed, or not in the version that is known here;
        or one of the two was imported before.
    """
    with _loading:
        present = sys.modules.get("FlowCytometryTools")
        if present is not None and isinstance(present.__loader__, _AmendedSource):
            return present
        _check_versions()
        for name in _VERSIONS:
            if name in sys.modules:
                raise InteropError(
                    f"{name} was imported before it could be adapted",
                    where="FlowCytometryTools",
                    advice="Call load() before anything imports it.",
                )
        with _all_or_nothing():
            return _load_amended()


class _AmendedSource(SourceFileLoader):
    """Compiles a module of the two packages from its source with `_AMENDED`."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the amended code; what Python cached of the file is code as it was installed."""
        source = self.get_source(fullname) or ""
        for stands, instead in _AMENDED.get(fullname, {}).items():
            if stands not in source:
                raise InteropError(
                    f"{fullname} lacks {stands!r}",
                    where="FlowCytometryTools",
                    expected="the modules as they were released",
                    advice=f"Install it anew: {_INSTALL}",
                )
            source = source.replace(stands, instead)
        return self.source_to_code(source, self.path)


def _check_versions() -> None:
    for name, known in _VERSIONS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        if found != known:
            raise InteropError(
                f"{name} {found}",
                where="FlowCytometryTools",
                expected=f"{name} {known}",
                advice=f"Install it: {_INSTALL}",
            )


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """Leave no half-loaded module behind an error, and say what is missing."""
    try:
        yield
    except BaseException as error:
        for name in list(sys.modules):
            if name.partition(".")[0] in _VERSIONS:
                del sys.modules[name]
        if isinstance(error, ImportError):
            raise InteropError(
                f"it needs {error.name}, which cannot be imported",
                where="FlowCytometryTools",
                advice=f"Install it: {_INSTALL}",
            ) from error
        raise


def _load_amended() -> ModuleType:
    modules = {name: _create(name) for name in sorted(_AMENDED)}
    for name in _AMENDED:
        sys.modules[name] = modules[name]
        loader = modules[name].__loader__
        assert isinstance(loader, _AmendedSource)
        loader.exec_module(modules[name])
    return modules["FlowCytometryTools"]


def _create(name: str) -> ModuleType:
    """Create a module that has not run yet; a package can already be imported from."""
    above, _, own_name = name.rpartition(".")
    parent = sys.modules.get(above)
    found = PathFinder.find_spec(name, parent.__path__ if parent else None)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(name=name)
    spec = spec_from_file_location(
        name,
        found.origin,
        loader=_AmendedSource(name, found.origin),
        submodule_search_locations=found.submodule_search_locations,
    )
    assert spec is not None
    module = module_from_spec(spec)
    if spec.submodule_search_locations is not None:
        sys.modules[name] = module
    if parent is not None:
        setattr(parent, own_name, module)
    return module
