"""Studies from names, files and options: what is refused is named in one line."""

from pathlib import Path

import pytest

from headtohead.config.from_options import study_from
from headtohead.config.strict_yaml import read_yaml
from headtohead.config.study_files import load_study, parse_study, resolve_study, shipped_studies
from headtohead.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds: 0", "seeds: .*greater than or equal to 1; received 0"),
        ("seeds: many", "seeds: .*valid integer.*received 'many'"),
        ("seeds: 2.5", "seeds: .*received 2.5"),
        ("sedes: 3", "sedes: Extra inputs are not permitted; received 3"),
        ("recipe: {epoch: 3}", "recipe.epoch: Extra inputs"),
        ("recipe: {epochs: 0}", "recipe.epochs: .*received 0"),
        ("recipe: {learning_rate: .nan}", "recipe.learning_rate: .*finite.*received nan"),
        ("recipe: 3", "recipe: .*received 3"),
        ("heads: fc,gap,fc", "heads: fc named more than once"),
        ("heads: [gap, gap]", "heads: gap named more than once"),
        ("heads: ''", "heads: .*at least 1 item"),
        ("heads: 3", "heads: .*received 3"),
        ("heads: {'../up': {}}", r"heads\.\.\./up.*received '\.\./up'"),
        ("heads: {fc: {recipe: {epochs: 0}}}", "heads.fc.recipe: epochs: .*received 0"),
        ("heads: {fc: {recipe: {speed: 1}}}", "heads.fc.recipe: speed: Extra"),
        ("heads: {fc: {options: {since: !!timestamp 2020-01-01}}}", "tag .*timestamp"),
        ("heads: {fc: {options: {dropout: .inf}}}", "options.dropout.*finite.*received inf"),
        ("heads: {fc: {options: {1: 2}}}", r"options.1.*string.*received 1"),
        (
            "verdict: {reference: gpa}",
            "verdict.reference 'gpa' is an unknown head; choose from fc, fc_dr",
        ),
        ("verdict: {margin: 0}", "verdict.margin: .*received 0"),
        ("split: {train: 0.9}", r"split: train, validation and test must add up to 1; .* 1\.1"),
        ("split: {mode: random}", "split.mode: .*'fixed' or 'per-seed'; received 'random'"),
        ("pictures: {image_size: 4}", "image_size: .*received 4"),
        ('data: "caf\\uDCE9"', "data: has a name that is not UTF-8"),
        ("data: ' '", "data: is empty: name a folder, an archive"),
        ("name: a/b", "name: .*received 'a/b'"),
        ("- fc", r"must be a mapping of fields; received \['fc'\]"),
        ("[]", r"must be a mapping of fields; received \[\]"),
        ("seeds: [1", "not valid YAML"),
        ("seeds: \x00", "not valid YAML"),
        ("a: !!python/object:os.system x", "line 1: the tag .*os.system"),
        ("a: !!int x", "not valid YAML"),
        (f"seeds: {'9' * 5000}", "not valid YAML"),
        ("", "is empty"),
        ("# nothing yet\n", "is empty"),
        ("seeds: 7\nseeds: 2", "line 2: seeds is given twice .first in line 1."),
        ("heads:\n  fc: {options: {dropout: 0.3}}\n  fc:", "line 3: fc is given twice"),
        ("seeds: yes", "seeds: .*received 'yes'"),
        ("seeds: 1:30", "seeds: .*received '1:30'"),
        ("seeds: 010", "line 1: 010 is one number"),
        ("heads: [{fc: {}}]", "a head in a list is a name or a mapping with head and options"),
        ("heads: {my:Head: , my.Head: }", "two heads would both be called my.Head"),
        ("heads: &h {gap: , x: {options: *h}}", "line 1: the alias of a value stands within its"),
        ("&a [*a]", "the alias of a value stands within itself"),
        (f"a: {'[' * 5000}", "nested"),
        (f"a: {'[' * 60}{']' * 60}", "nested"),
    ],
)
def test_mistakes_are_named_in_one_line(text: str, words: str) -> None:
    """Else a slip in a study file ends in a traceback, or in silence: a field that is ignored."""
    with pytest.raises(UsageError, match=words) as caught:
        parse_study(text, "my.yaml")
    assert str(caught.value).startswith("my.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_an_alias_bomb_is_refused_in_one_short_line() -> None:
    """Else nine lines of a study file print megabytes, or take all memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    with pytest.raises(UsageError, match="expands to more than") as caught:
        parse_study("\n".join(lines), "my.yaml")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("yes", "yes"), ("on", "on"), ("~", None), ("12", 12), ("0x1f", 31),
        ("0o17", 15), ("1e-3", 0.001), ("-2.5", -2.5), ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("'010'", "010"), ("<<", "<<"), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    """Else `yes`, a time or a date is something else than what stands in the file."""
    found = read_yaml(f"a: {text}", "my.yaml")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("gap", "gap"),
        ("my.heads:Wide", "my.heads.Wide"),
        ("_private:Head", "private.Head"),
        ("kopf:Größer", "kopf.Gr--er"),
        (f"{'deep.' * 20}module:Head", f"{'deep.' * 20}module.Head"[-64:]),
        ("köpfe:Ä", "k-pfe.-"),
    ],
)
def test_any_class_has_a_candidates_name(head: str, name: str) -> None:
    """Else a head of one's own is refused for its module's name."""
    study = parse_study(f"heads: ['{head}']", "my.yaml")
    assert {key: spec.head or key for key, spec in study.heads.items()} == {name: head}
    again = parse_study(f"heads: {{'{head}': {{options: {{a: 1}}}}}}", "my.yaml")
    assert {key: spec.head or key for key, spec in again.heads.items()} == {name: head}
    assert again.heads[name].options == {"a": 1}


def test_overrides_reach_into_nested_fields_and_leave_the_rest(tmp_path: Path) -> None:
    """Else `--epochs 3` on a tuned study silently undoes its tuning."""
    path = tmp_path / "my.yaml"
    path.write_text("recipe: {epochs: 9, learning_rate: 0.01, augment: {flip: true}}\nseeds: 5")
    study = resolve_study(path, recipe={"epochs": 3, "augment": {"crop": 0.1}})
    assert (study.recipe.epochs, study.recipe.learning_rate, study.seeds) == (3, 0.01, 5)
    assert (study.recipe.augment.flip, study.recipe.augment.crop) == (True, 0.1)


# From a file and the command's options ----------------------------------------------------------


TUNED = """
heads:
  fc: {options: {dropout: 0.3}, recipe: {epochs: 2}}
  gap:
recipe: {epochs: 9, learning_rate: 0.01}
verdict: {reference: gap}
"""


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    path = tmp_path / "tuned.yaml"
    path.write_text(TUNED, encoding="utf-8")
    return path


def test_options_that_were_not_given_change_nothing(tuned: Path) -> None:
    """Else a flag's absence resets what the file says."""
    assert resolve_study(tuned) == load_study(tuned)
    nothing = resolve_study(tuned, seeds=None, recipe={"epochs": None}, pictures={"limit": None})
    assert nothing == load_study(tuned)
    assert resolve_study(tuned, recipe={"epochs": 1}).recipe.learning_rate == 0.01


def test_chosen_heads_replace_the_files_and_keep_its_settings(tuned: Path) -> None:
    """Else `--heads` trains heads that nobody asked for, or drops their tuning."""
    study = resolve_study(tuned, heads="fc,avgpool2x2")
    assert list(study.heads) == ["fc", "avgpool2x2"]
    assert study.heads["fc"] == load_study(tuned).heads["fc"]
    assert study.verdict.reference is None, "the file's reference is not among the chosen"
    assert resolve_study(tuned, heads=["gap"]).verdict.reference == "gap"


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ("", "--heads is empty"),
        (",", "--heads.*at least 1"),
        ("gap,gap", "gap named more than once"),
    ],
)
def test_chosen_heads_that_cannot_be_are_named(tuned: Path, heads: str, words: str) -> None:
    """Else a slip on the command line ends in a traceback."""
    with pytest.raises(UsageError, match=words):
        resolve_study(tuned, heads=heads)


def test_options_out_of_range_are_named(tuned: Path) -> None:
    """Else `--seeds 0` ends in a traceback, or in a study of nothing."""
    with pytest.raises(UsageError, match=r"seeds: .*received 0"):
        resolve_study(tuned, seeds=0)


def test_studies_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Else a wrong path, a folder or an image in a study's place ends in a traceback."""
    picture = tmp_path / "cat.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    cases: list[tuple[str | Path, str]] = [
        ("qiuck", "no study 'qiuck'.*neither a file nor .* Did you mean 'quick'"),
        (tmp_path / "none.yaml", "no study"),
        ("gem", "no study 'gem'.* --heads gap,gem"),  # of `--heads gap gem`
        (tmp_path, "is a folder.*--data"),
        (picture, "not a study file"),
        ("x" * 5000, "cannot read the study"),
    ]
    for study, words in cases:
        with pytest.raises(UsageError, match=words):
            load_study(study)


def test_every_shipped_study_parses_and_says_what_to_expect() -> None:
    """Else a name that `headtohead studies` lists cannot be run."""
    for name in shipped_studies():
        study = load_study(name)
        assert study.name == name
        assert study.description.strip()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("flowers", "flowers"),
        ("/photos/my flowers (2024)/", "my-flowers-2024"),
        ("~/sets/flowers.tar.gz", "flowers"),
        ("flowers.zip", "flowers"),
        ("v1.5", "v1.5"),
        ("synthetic", "synthetic"),
        ("tfds:cats_vs_dogs", "cats_vs_dogs"),
        ("hf:uoft-cs/cifar100#fine_label", "cifar100"),
        ("Blumen/Gänseblümchen", "Ganseblumchen"),
        ("Blumen/Ga\u0308nseblu\u0308mchen", "Ganseblumchen"),  # as macOS writes it
        ("花", "study"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_study_without_a_name_is_named_after_its_data(data: str, name: str) -> None:
    """`runs/standard-1234` beside `runs/standard-5678` says nothing of what is in it."""
    study = study_from(None, data=data)
    assert study.name == name
    assert study.digest("0") == load_study("standard").digest("0")


def test_a_home_that_there_is_not_is_told() -> None:
    """Else a misspelt name of a user ends in a traceback."""
    with pytest.raises(UsageError, match="nobody-of-this-name"):
        study_from(None, data="~nobody-of-this-name/..")


def test_names_that_were_given_stay(tmp_path: Path) -> None:
    """Who names a study finds it under that name."""
    file = tmp_path / "my.yaml"
    file.write_text("data: flowers\n")
    assert study_from(file).name == "flowers"
    assert study_from(file, data="tulips").name == "tulips"
    file.write_text("name: mine\ndata: flowers\n")
    assert study_from(file, data="tulips").name == "mine"
    file.write_text("seeds: 3\n")
    assert study_from(file).name == "study"
    assert study_from("standard", data="tulips").name == "standard"


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--data .` is typed within the folder of images."""
    (tmp_path / "flowers").mkdir()
    monkeypatch.chdir(tmp_path / "flowers")
    assert study_from(None, data=".").name == "flowers"


def test_epochs_by_name_are_those_and_no_more() -> None:
    """Else `--epochs 1` on a small folder trains for an hour, because the study has `min_steps`."""
    assert resolve_study("standard").recipe.min_steps == 600
    assert resolve_study("standard", recipe={"epochs": 1}).for_images(100).recipe.epochs == 1
    both = resolve_study("standard", recipe={"epochs": 1, "min_steps": 9})
    assert both.for_images(96).recipe.epochs == 3
