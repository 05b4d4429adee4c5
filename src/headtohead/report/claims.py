"""The ledger → the five claims about its reference head, from records and evidence alone."""

from collections.abc import Callable, Iterator, Sequence

from headtohead.analysis.claims import (
    BySeed,
    Claim,
    Goal,
    Pace,
    Question,
    Size,
    decide,
    faster,
    fewer_parameters,
    measure,
    pairs,
)
from headtohead.analysis.statistics import estimate
from headtohead.probes.evidence import (
    Translation,
    costs_path,
    read_costs,
    read_speed,
    read_translation,
    speed_key,
    speed_path,
    translation_path,
)
from headtohead.report.desk import Desk
from headtohead.report.pairs import targets_of
from headtohead.report.sight import class_map_question
from headtohead.study.ledger import Ledger


def claims_of(ledger: Ledger) -> tuple[Claim, ...]:
    """The five claims about the study's reference against the head it names; none for one head.

    Parameters, over-fitting, class maps, translation, speed, in this order. What is not there is
    said in rules and notes. Raises UsageError for records that do not belong to the study.
    """
    study = ledger.file.study
    against = study.claims_against
    if against is None:
        return ()
    desk = Desk.open(ledger, study.reference, against)
    questions = (_overfitting(desk), class_map_question(desk), _translation(desk))
    return (
        fewer_parameters(desk.reference, against, _sizes(desk)),
        *decide(questions, study.verdict.level),
        _speed(desk),
    )


def _sizes(desk: Desk) -> dict[str, Size]:
    found = desk.evidence(costs_path, read_costs)
    costs = {head: found[head, seed] for head, seed in reversed(list(found))}
    sizes = {}
    for result in reversed(desk.results):
        counts, cost = result.parameters, costs.get(result.head)
        sizes[result.head] = Size(
            head=counts.head,
            model=counts.total,
            multiply_adds_head=cost.multiply_adds_head if cost else None,
            multiply_adds=cost.multiply_adds if cost else None,
            weight_bytes=cost.weight_bytes if cost else None,
            activation_bytes=cost.activation_bytes if cost else None,
        )
    return {head: sizes[head] for head in desk.heads}


def _overfitting(desk: Desk) -> Question:
    gap = desk.by_seed((r.head, r.seed, r.metrics["last_overfit"]) for r in desk.finished)
    best = desk.by_seed((r.head, r.seed, r.metrics["best_overfit"]) for r in desk.finished)
    histories = {(run.record.head, run.record.seed): run.history for run in desk.runs}
    rises = desk.by_seed(
        (r.head, r.seed, history[-1].val_loss - min(epoch.val_loss for epoch in history))
        for r in desk.finished
        if (history := histories[r.head, r.seed])
    )
    return Question(
        name="overfitting",
        statement=f"{desk.reference} over-fits less than {desk.against}",
        tested=(
            f"training minus validation accuracy at the last epoch, {desk.against} minus "
            f"{desk.reference}"
        ),
        differences=pairs(gap, desk.against, desk.reference, desk.seeds),
        measures=(
            measure("training minus validation accuracy, last epoch", "share", gap),
            measure("training minus validation accuracy, best epoch", "share", best),
            measure("rise of the validation loss after its minimum", "nats", rises),
        ),
        notes=tuple(_controls(desk, gap)),
    )


def _controls(desk: Desk, gap: BySeed) -> Iterator[str]:
    """Every further head beside the reference, which tells pooling from few parameters."""
    level = desk.ledger.file.study.verdict.level
    for head in desk.heads:
        if head in (desk.reference, desk.against):
            continue
        found = estimate(
            list(pairs(gap, head, desk.reference, desk.paired_with(head)).values()), level
        )
        if found.mean is not None and found.low is not None and found.high is not None:
            yield (
                f"{head} minus {desk.reference}: {100 * found.mean:+.2f} points "
                f"({100 * (1 - level):g} % t interval {100 * found.low:+.2f} to "
                f"{100 * found.high:+.2f}, {found.n} seeds; an estimate, no verdict)"
            )


def _translation(desk: Desk) -> Question:
    found = desk.evidence(translation_path, read_translation)
    known = {run: moved for run, moved in found.items() if len(moved.rows)}

    def of(value: Callable[[Translation], float]) -> BySeed:
        return desk.by_seed((*run, value(moved)) for run, moved in known.items())

    steady = of(lambda moved: float(moved.steadiness[1:].mean()))
    rows: Sequence[tuple[str, Callable[[Translation], float]]] = (
        ("accuracy on the centre crop", lambda m: float(m.accuracy[0])),
        (
            "accuracy in single-pixel steps, less the centre's",
            lambda m: float(m.accuracy[m.fine][1:].mean() - m.accuracy[0]),
        ),
        (
            "accuracy in large steps, less the centre's",
            lambda m: float(m.accuracy[~m.fine].mean() - m.accuracy[0]),
        ),
        (
            "agreement with the centre in single-pixel steps",
            lambda m: float(m.agreement[m.fine][1:].mean()),
        ),
        ("agreement with the centre in large steps", lambda m: float(m.agreement[~m.fine].mean())),
    )
    return Question(
        name="translation",
        statement=f"{desk.reference} is more robust to translation than {desk.against}",
        tested=(
            f"agreement with the centre crop beyond chance (Cohen's kappa), mean over all moved "
            f"windows, {desk.reference} minus {desk.against}"
        ),
        differences=pairs(steady, desk.reference, desk.against, desk.seeds),
        measures=(
            measure("agreement with the centre beyond chance, all windows", "share", steady),
            *(measure(name, "share", of(value)) for name, value in rows),
        ),
        notes=desk.missing(found, "moved windows"),
    )


def _speed(desk: Desk) -> Claim:
    file = desk.ledger.file
    keys = [desk.ledger.run_key(head, 0) for head in file.study.heads]
    speed = read_speed(speed_path(desk.ledger.out), speed_key(keys))
    results = {head: [r for r in desk.results if r.head == head] for head in desk.heads}
    targets = targets_of(desk.ledger, desk.runs, results, desk.reference)
    paces = {}
    if speed is not None and targets is not None:
        for item in targets.heads:
            place = speed.heads.index(item.head)
            paces[item.head] = Pace(
                step=speed.cpu[place] / speed.batch_size[place],
                wall=speed.wall[place] / speed.batch_size[place],
                epochs=dict(zip(item.seeds, item.epochs.values, strict=True)),
                reached=item.epochs.reached,
                pictures=sum(file.counts["train"].values()),
            )
    goal = None
    if targets is not None and targets.heads:
        horizon = targets.heads[0].epochs.horizon
        goal = Goal(targets.target, horizon, file.majority_share("validation"))
    level = file.study.verdict.level
    return faster(desk.reference, desk.against, paces, desk.seeds, goal, level)
