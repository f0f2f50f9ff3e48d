"""Faiss with the kernels of this processor."""

import os
from types import ModuleType

#: Processors that NumPy's OpenBLAS knows, as faiss's older one calls those with the same kernels.
_KERNELS = dict.fromkeys(("SkylakeX", "Cooperlake", "SapphireRapids"), "SkylakeX")
_KERNELS |= dict.fromkeys(("Haswell", "Zen"), "Haswell")


def load_faiss() -> ModuleType:
    """Faiss, told which processor this is.

    It comes with an OpenBLAS of 2021, which takes a newer processor for one without AVX and is four
    times as slow. NumPy's knows the processor. The choice is read when faiss is loaded.
    """
    from threadpoolctl import threadpool_info

    known = [info.get("architecture") for info in threadpool_info()]
    kernels = next((_KERNELS[name] for name in known if name in _KERNELS), None)
    free = kernels is not None and "OPENBLAS_CORETYPE" not in os.environ
    try:
        if free:
            os.environ["OPENBLAS_CORETYPE"] = kernels
        import faiss
    finally:
        if free:
            del os.environ["OPENBLAS_CORETYPE"]
    return faiss
