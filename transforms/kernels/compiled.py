"""The part of this package that is in C (`_scan.c`), where it could be compiled; whoever uses it has another way."""

__all__ = ["scan"]

try:
    from retrolabel.transforms.kernels import _scan as scan
except ImportError:  # there was no compiler where the package was installed
    scan = None  # type: ignore[assignment]
