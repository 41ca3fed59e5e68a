"""A disk that is full, as far as this process can tell: no file may grow beyond a size."""

import contextlib
import resource
import signal


@contextlib.contextmanager
def no_file_larger_than(size: int):
    """Within it a write beyond `size` bytes of a file fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
