"""The verdicts on a study's claims: tested ones as one family, others by their own rule."""

import dataclasses
from collections.abc import Mapping

from headtohead.analysis.lags import why_not_judged
from headtohead.claims.base import JudgedClaim, Question, estimate_text
from headtohead.claims.table import claims_of
from headtohead.stats import holm, holm_levels, paired_difference, verdict
from headtohead.stats.family import stood_against
from headtohead.study_data import StudyData


def judge(data: StudyData) -> tuple[JudgedClaim, ...]:
    """Every claim of the study about its reference against the head it names; none for one head.

    In the table's order. What is not there is said in rules and notes. Where evaluation of one of
    the two heads lags behind its weights, only what rests on no evaluation is judged. Raises
    UsageError for records that do not belong to the study.
    """
    if data.study.claims_against is None:
        return ()
    questions = {claim.name: claim.question(data) for claim in claims_of(data)}
    judged = decide(questions, data.study.verdict.level)
    reason = why_not_judged((data.reference, data.against), data.lags)
    if not reason:
        return judged
    return tuple(
        _not_judged(claim, questions[claim.name], reason)
        if questions[claim.name].evaluated
        else claim
        for claim in judged
    )


def _not_judged(claim: JudgedClaim, question: Question, reason: str) -> JudgedClaim:
    """The claim without its verdict; what was measured stands among its notes, as numbers."""
    measured = "" if claim.difference is None else estimate_text(claim.difference)
    if measured:
        measured = f"{question.tested}: {measured}"
    elif claim.difference is None:
        measured = claim.rule
    notes = (f"Measured, not judged: {measured}",) if measured else ()
    return dataclasses.replace(
        claim, outcome="not judged", rule=reason, notes=(*notes, *claim.notes)
    )


def decide(questions: Mapping[str, Question], level: float) -> tuple[JudgedClaim, ...]:
    """Name → question: those without a ruling are one family, be they without a pair."""
    family = {name: question for name, question in questions.items() if question.ruling is None}
    found = {
        name: paired_difference(list((question.differences or {}).values()), level)
        for name, question in family.items()
    }
    p_values: dict[str, float | None] = {
        name: difference.p_agreed for name, difference in found.items()
    }
    adjusted, levels, tests = holm(p_values), holm_levels(p_values, level), len(family)
    claims = []
    for name, question in questions.items():
        if question.ruling is not None:
            outcome, rule = question.ruling.outcome, question.ruling.rule
        else:
            against = stood_against(found[name], adjusted[name], levels[name], tests)
            said = verdict(question.statement, found[name], adjusted[name], tests, against)
            outcome, rule = said.outcome, f"{question.tested}: {question.lost or said.rule}"
        claims.append(
            JudgedClaim(
                name=name,
                statement=question.statement,
                outcome=outcome,
                rule=rule,
                measures=question.measures,
                difference=found.get(name),
                notes=question.notes,
            )
        )
    return tuple(claims)
