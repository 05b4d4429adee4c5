"""What all questions share: the photographs, the environments, how large everything is."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
EXAMPLE = HERE.parent / "examples" / "keras_article.py"


@dataclass(frozen=True)
class Setting:
    """One call of the benchmark."""

    data: Path
    """The user's photographs, a folder per class."""
    photographs: Path
    """`limit` of them, in splits."""
    counts: dict[str, int]
    limit: int
    epochs: int
    work: Path
    """A folder that lasts as long as the benchmark."""
    quick: bool
    tensorflow_python: Path
    torch_python: Path
