"""The claims: those that come with headtohead, and those of the user's own that a study names."""

from collections.abc import Collection
from typing import final

from headtohead.claims import class_maps, overfitting, parameters, speed, translation
from headtohead.claims.base import Claim, ClaimFigure, Question
from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.core.own_code import own_instance
from headtohead.heads.families import names_of
from headtohead.study_data import StudyData

CLAIMS: tuple[Claim, ...] = (
    parameters.CLAIM,
    overfitting.CLAIM,
    class_maps.CLAIM,
    translation.CLAIM,
    speed.CLAIM,
)
"""What every study is asked. The page, the tables and `summary.json` follow from it."""


def about_pooling(study: StudySpec) -> bool:
    """Whether the claims concern what was asked: the reference pools, or claims were added."""
    reference = study.heads[study.reference]
    pools = names_of("global pools")
    return (reference.head or study.reference) in pools or bool(study.claims)


def claims_of(data: StudyData) -> tuple[Claim, ...]:
    """The shipped claims and the study's own, in this order.

    A claim of the user's own runs code: found in a ledger that the command did not name, it is
    not imported and says so. Raises UsageError for one that cannot be imported, is no claim or
    has a name that is taken.
    """
    return _claims(data.study, data.own)


def tested_claims(study: StudySpec) -> tuple[str, ...]:
    """The names of the claims that share Holm's correction, before anything is measured.

    Imports the study's own: call it for a study that the user's command named. Raises UsageError
    as `claims_of` does.
    """
    found = _claims(study, frozenset(study.claims))
    return tuple(claim.name for claim in found if getattr(claim, "tested", True))


def _claims(study: StudySpec, own: Collection[str]) -> tuple[Claim, ...]:
    """`own` are those of the study's own claims whose code may be run."""
    found = [*CLAIMS]
    for entry in study.claims:
        claim = own_claim(entry) if entry in own else _Unread(entry)
        if claim.name in [known.name for known in found]:
            raise UsageError(f"claim {entry!r}: the name {claim.name!r} is taken; choose another.")
        found.append(claim)
    return tuple(found)


def own_claim(entry: str) -> Claim:
    """The claim `module:Class`. Raises as `claims_of` does."""
    claim: Claim = own_instance("claim", entry, ("name", "question", "figure"))
    return claim


@final
class _Unread:
    """A claim whose code this command may not run. It stays in the family, without evidence."""

    def __init__(self, entry: str) -> None:
        self.name = entry

    def question(self, data: StudyData) -> Question:
        lost = f"its code was not run; pass --claims {self.name} to allow it"
        return Question(f"claim {self.name}", "unknown", lost=lost)

    def figure(self, data: StudyData) -> ClaimFigure:
        return ClaimFigure()
