"""One core for what a process does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the libraries' threads to one.

    Where there is a process for each core, they would only quarrel. A sum that threads share is
    also rounded by how many there are, and labels must not depend on that.
    """
    # Libraries that are loaded later would not be limited.
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
