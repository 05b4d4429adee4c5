"""What a report says of the claims: the page's part, and that of the other formats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headtohead.claims.base import ClaimFigure, JudgedClaim
from headtohead.claims.judge import judge
from headtohead.claims.table import about_pooling, claims_of
from headtohead.core.text import in_words, names
from headtohead.report.page.findings import ClaimView, claim_views
from headtohead.study_data import StudyData


@dataclass(frozen=True)
class ClaimsPart:
    """All claims of a study, `views` of those that were judged; `unfolded` on the page or not.

    The last `own_count` of them are the study's own.
    """

    judged: tuple[JudgedClaim, ...]
    views: tuple[ClaimView, ...]
    figures: Mapping[str, ClaimFigure]
    unfolded: bool
    own_count: int

    @property
    def title(self) -> str:
        """What their part of a report is called."""
        return f"The {in_words(len(self.figures))} claims"

    @property
    def own(self) -> str:
        """Which claims are the study's own, in a sentence; empty where none is."""
        # They come last: see `claims_of`.
        own = self.judged[len(self.judged) - self.own_count :]
        return f"The study's own: {_named(own)}." if own else ""

    @property
    def tested(self) -> str:
        """The claims that share one correction, in words; empty where none is judged."""
        return _named([claim for claim in self.judged if claim.difference is not None])

    @property
    def how_judged(self) -> str:
        """Which claims are tested as one family and which are not, in sentences."""
        ruled = _named([claim for claim in self.judged if claim.difference is None])
        said = {"Tested as one family with Holm's correction": self.tested}
        said["By a rule of their own"] = ruled
        return " ".join(f"{how}: {claims}." for how, claims in said.items() if claims)


def claims_part(data: StudyData, *, unfolded: bool) -> ClaimsPart:
    """Judged by the evidence; unfolded in any case where a pooling head is the reference."""
    judged = judge(data)
    figures = {claim.name: claim.figure(data) for claim in claims_of(data)}
    return ClaimsPart(
        judged,
        claim_views(judged, figures),
        figures,
        unfolded or about_pooling(data.study),
        len(data.study.claims),
    )


def _named(claims: Sequence[JudgedClaim]) -> str:
    """Their names as words; `module:Class`, whose name is not known, as it is written."""
    found = [claim.name for claim in claims]
    return names([name if ":" in name else name.replace("_", " ") for name in found])
