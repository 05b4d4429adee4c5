"""Feature maps → logits: `base` has the contract, `table` all heads, one file each family.

Calling the package lists heads: `headtohead.heads("gem")` is `headtohead.heads.catalog.heads`. It
has that function's name in the public interface, and Python puts a package there once it is
imported.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, name: str | None = None, **options: Any) -> str:
        from headtohead.heads.catalog import heads  # torch is imported there

        return heads(name, **options)


sys.modules[__name__].__class__ = _Callable
