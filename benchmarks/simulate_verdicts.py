"""How often the rules are wrong, and how often they are right: simulated studies without training.

    python benchmarks/simulate_verdicts.py null margin sequential claims coverage pictures power

Each part prints one Markdown table, from a fixed stream, by the very functions that give
verdicts. `--studies 20000` by default: the standard error of a rate of 5 % is then 0.15 points.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from headtohead.core.streams import stream
from headtohead.stats import (
    Side,
    agreed_p,
    holm_adjusted,
    sign_flips,
    student,
)
from headtohead.stats.over_images import Answers, picture_interval
from headtohead.stats.power import expected_power
from headtohead.stats.sequential import Design, decide, sequential_p, t_at_looks

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int], int], list[Floats]]
LEVEL = 0.05


def normal(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """The reference's own luck is in every pair."""
    reference = rng.normal(size=size)
    return [reference - rng.normal(size=size) for _ in range(pairs)]


def skewed_heads(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """Equal heads with now and then a very good run."""
    reference = rng.exponential(size=size)
    return [reference - rng.exponential(size=size) for _ in range(pairs)]


def one_skewed_head(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """Equal means, but the reference's runs are skewed and the others' are not."""
    reference = rng.exponential(size=size) - 1
    return [reference - rng.normal(size=size) for _ in range(pairs)]


def skewed_reference(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """As above, and the others hardly vary: differences of skewness 1.8 that go together."""
    reference = 1 - rng.exponential(size=size)
    return [reference - rng.normal(0, 0.3, size=size) for _ in range(pairs)]


def skewed(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """Differences of skewness 1, independent between pairs: worse than a shared reference."""
    return [2 - rng.gamma(4, 0.5, size=size) for _ in range(pairs)]


def discrete(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """Accuracies on 200 test images."""
    reference = rng.binomial(200, 0.85, size=size)
    return [(reference - rng.binomial(200, 0.85, size=size)) / 200 for _ in range(pairs)]


def tied(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """Half of all differences are exactly 0, the others are one image."""
    return [rng.choice([-1.0, 0.0, 0.0, 1.0], size=size) for _ in range(pairs)]


def exponential(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """Differences of skewness 2, independent between pairs."""
    return [1 - rng.exponential(size=size) for _ in range(pairs)]


def rare_failures(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    """One run in ten of the other head diverges; its other runs make up for it in the mean."""
    noise = (rng.normal(0, 0.01, size=size) for _ in range(pairs))
    return [values + 0.35 * (rng.random(size) < 0.1) - 0.035 for values in noise]


SYMMETRIC: dict[str, Draw] = {
    "normal": normal,
    "skewed heads, equal": skewed_heads,
    "discrete (200 images)": discrete,
    "tied (half are 0)": tied,
}
SKEWED: dict[str, Draw] = {
    "one head skewed (0.7)": one_skewed_head,
    "skewness 1, independent": skewed,
}
BEYOND: dict[str, Draw] = {
    "skewed reference (1.8)": skewed_reference,
    "skewness 2, independent": exponential,
    "failures, 1 in 10": rare_failures,
}
EVERY = SYMMETRIC | SKEWED | BEYOND


def family_rate(
    draw: Draw, studies: int, tests: int, seeds: int, rule: Callable[..., Floats], side: Side
) -> float:
    """The share of families with at least one rejection, one-sided tests at half the level."""
    samples = draw(stream(1, "verdicts", draw.__name__, tests, seeds), (studies, seeds), tests)
    p = holm_adjusted(np.stack([rule(values, side) for values in samples], axis=1))
    level = LEVEL if side == "two-sided" else LEVEL / 2
    return float(np.mean((p <= level).any(axis=1)))


def null(studies: int) -> Iterator[str]:
    """False verdicts of a family of heads that do not differ."""
    yield "| differences | tests | seeds | the rule | sign-flip alone | Student's t alone |"
    yield "|---|---|---|---|---|---|"
    for name, draw in EVERY.items():
        for tests, seeds in ((1, 6), (1, 10), (3, 7), (3, 10), (3, 12)):
            rates = [
                family_rate(draw, studies, tests, seeds, rule, "two-sided")
                for rule in (agreed_p, sign_flips, student)
            ]
            yield f"| {name} | {tests} | {seeds} | {' | '.join(percent(r) for r in rates)} |"


def margin(studies: int) -> Iterator[str]:
    """Non-inferiority where the true difference is the margin itself: shifted, its null is 0."""
    yield "| differences | tests | seeds | supported | refuted |"
    yield "|---|---|---|---|---|"
    for name, draw in EVERY.items():
        for tests, seeds in ((1, 6), (1, 10), (3, 7), (3, 10)):
            sides: tuple[Side, Side] = ("greater", "less")
            rates = [family_rate(draw, studies, tests, seeds, agreed_p, side) for side in sides]
            yield f"| {name} | {tests} | {seeds} | {' | '.join(percent(r) for r in rates)} |"


def sequential(studies: int) -> Iterator[str]:
    """The sequential design with no difference, and with one of a standard deviation."""
    yield "| differences | looks | spending | decided with no difference | with 1 sd | pairs used |"
    yield "|---|---|---|---|---|---|"
    draws = {name: EVERY[name] for name in (*SYMMETRIC, *SKEWED, "skewed reference (1.8)")}
    designs = (
        Design((6, 8, 10, 12), LEVEL, "pocock"),
        Design((6, 8, 10, 12), LEVEL, "obrien-fleming"),
    )
    for design in designs:
        for name, draw in draws.items():
            size = (studies, design.looks[-1])
            samples = draw(stream(2, "looks", draw.__name__), size, 1)[0]
            wrong, _ = sequential_rate(samples, design)
            # A tenth of the studies suffices for power, which is no promise.
            few = samples[: studies // 10]
            right, used = sequential_rate(few + samples.std(), design)
            looks = ", ".join(map(str, design.looks))
            rates = f"{percent(wrong)} | {percent(right)} | {used:.1f}"
            yield f"| {name} | {looks} | {design.spending} | {rates} |"


def sequential_rate(samples: Floats, design: Design) -> tuple[float, float]:
    """The share that is decided, and the mean number of pairs until a decision or the end."""
    decided, last = followed(samples, design)
    return float(decided.any(axis=1).mean()), float(np.array(design.looks)[last].mean())


def followed(samples: Floats, design: Design) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which looks decide, (S, K), and the place of the last look that is taken."""
    p = np.array([sequential_p(values, design) for values in samples])
    means = np.stack([samples[:, :n].mean(axis=1) for n in design.looks], axis=1)
    decided = decide(p, t_at_looks(samples, design), means, design) != 0
    last = np.where(decided.any(axis=1), np.argmax(decided, axis=1), len(design.looks) - 1)
    return decided, last


def claims(studies: int) -> Iterator[str]:
    """A claim that is tested once, on the pairs that there are when a sequential design stops."""
    yield "| correlation with what is looked at | a test at 5 % | at 1.67 %, the first of three |"
    yield "|---|---|---|"
    design = Design((6, 8, 10, 12), LEVEL, "pocock")
    size = (studies, design.looks[-1])
    rng = stream(2, "claims")
    samples, own = rng.normal(size=size), rng.normal(size=size)
    _, last = followed(samples, design)
    for correlation in (0.0, 0.3, 0.7, 1.0):
        measured = correlation * samples + (1 - correlation**2) ** 0.5 * own
        p = np.stack([agreed_p(measured[:, :n]) for n in design.looks], axis=1)
        stopped = p[np.arange(studies), last]
        rates = [percent(float(np.mean(stopped <= LEVEL / tests))) for tests in (1, 3)]
        yield f"| {correlation:g} | {' | '.join(rates)} |"


def coverage(studies: int) -> Iterator[str]:
    """How often the 95 % interval over seeds holds the true mean: where its t-test keeps still."""
    yield "| differences | 5 seeds | 7 seeds | 10 seeds | 20 seeds |"
    yield "|---|---|---|---|---|"
    for name, draw in EVERY.items():
        rates = []
        for seeds in (5, 7, 10, 20):
            rng = stream(3, "coverage", draw.__name__, seeds)
            samples = draw(rng, (studies, seeds), 1)[0]
            rates.append(float(np.mean(student(samples) > LEVEL)))
        yield f"| {name} | {' | '.join(percent(rate) for rate in rates)} |"


def pictures(studies: int) -> Iterator[str]:
    """How often the 95 % interval over images holds the truth, in a quarter of the studies."""
    yield "| test images | duplicated | seeds | cluster-robust | every image alone |"
    yield "|---|---|---|---|---|"
    for count, share, seeds in ((100, 0, 7), (500, 0, 7), (500, 0.4, 7), (500, 0.4, 1)):
        hits = np.zeros(2)
        rounds = studies // 4
        for index in range(rounds):
            rng = stream(4, "pictures", count, str(share), seeds, index)
            pairs, groups, truth = picture_study(rng, count, share, seeds)
            for place, grouping in enumerate((groups, {})):
                found = picture_interval(pairs, grouping, LEVEL)
                if found is not None and found.low is not None and found.high is not None:
                    hits[place] += found.low <= truth <= found.high
        rates = " | ".join(percent(hit / rounds) for hit in hits)
        yield f"| {count} | {percent(share)} | {seeds} | {rates} |"


def picture_study(
    rng: np.random.Generator, count: int, share: float, seeds: int
) -> tuple[dict[int, tuple[Answers, Answers]], dict[int, int], float]:
    """Two heads on images of differing difficulty; duplicates share theirs and their answers.

    The truth is the mean difference over all images that could have been drawn.
    """
    twins = int(count * share) // 2
    own = count - twins
    source = np.concatenate([np.arange(own), np.arange(twins)])
    skill, offset = rng.normal(1.5, 1.5, own), rng.normal(0.3, 1.0, own)
    chances = [stats.norm.cdf(skill + offset), stats.norm.cdf(skill)]
    rows = np.arange(count)
    pairs = {}
    for seed in range(seeds):
        right = [(rng.random(own) < chance)[source] for chance in chances]
        pairs[seed] = (Answers(rows, right[0]), Answers(rows, right[1]))
    groups = {int(row): int(first) for row, first in enumerate(source)}
    width = np.sqrt(1 + 1.5**2)
    truth = stats.norm.cdf(1.8 / np.sqrt(width**2 + 1)) - stats.norm.cdf(1.5 / width)
    return pairs, groups, float(truth)


def power(studies: int) -> Iterator[str]:
    """Verdicts for a true difference, three tests, at Holm's strictest step."""
    effects, seeds = (0.5, 1.0, 1.5, 2.0, 3.0), (7, 10, 12, 14, 20)
    found = expected_power(effects, seeds, tests=3, level=LEVEL, studies=studies)
    yield "| difference in sd | " + " | ".join(f"{n} seeds" for n in seeds) + " |"
    yield "|---|" + "---|" * len(seeds)
    for effect in effects:
        row = [percent(item.power) for item in found if item.effect == effect]
        yield f"| {effect:g} | {' | '.join(row)} |"


def corrected(studies: int) -> Iterator[str]:
    """What the third test, Hall's, is for: the rule with and without it where means are equal."""
    yield "| differences | tests | seeds | with Hall's t | without |"
    yield "|---|---|---|---|---|"

    def without(samples: Floats, side: Side) -> Floats:
        return np.maximum(sign_flips(samples, side), student(samples, side))

    for name, draw in (SKEWED | BEYOND).items():
        for tests, seeds in ((1, 10), (3, 10)):
            rates = [
                family_rate(draw, studies, tests, seeds, rule, "two-sided")
                for rule in (agreed_p, without)
            ]
            yield f"| {name} | {tests} | {seeds} | {' | '.join(percent(r) for r in rates)} |"


def percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


PARTS: dict[str, Callable[[int], Iterator[str]]] = {
    "null": null,
    "margin": margin,
    "sequential": sequential,
    "claims": claims,
    "coverage": coverage,
    "pictures": pictures,
    "power": power,
    "corrected": corrected,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=", ".join(PARTS))
    parser.add_argument("--studies", type=int, default=20_000)
    arguments = parser.parse_args()
    for name in arguments.parts or PARTS:
        print(f"\n### {name}: {arguments.studies:,} studies a row\n")
        for line in PARTS[name](arguments.studies):
            print(line, flush=True)


if __name__ == "__main__":
    main()
