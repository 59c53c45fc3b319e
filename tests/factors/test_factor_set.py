"""Factor sets: the format users write, and what is refused."""

from pathlib import Path

import pytest

from qts.errors import ConfigError, ExpressionError, InputError
from qts.factors import built_in_sets, custom_set, load_factor_set, parse_label


def write_set(folder: Path, text: str) -> str:
    (folder / "mine.toml").write_text(text)
    return "mine.toml"


def test_the_sets_that_come_with_qts_are_listed() -> None:
    assert built_in_sets() == ("alpha158", "alpha360", "raw")


def test_a_family_is_one_line_and_has_a_factor_a_window(tmp_path: Path) -> None:
    name = write_set(
        tmp_path,
        '[factors]\nKMID = "($close-$open)/$open"\nROC = { windows = [5, 60], expr = "Ref($close, N)/$close" }',
    )
    found = load_factor_set(name, tmp_path)
    assert [(f.name, f.canonical, f.family) for f in found.factors] == [
        ("KMID", "($close - $open)/$open", None),
        ("ROC5", "Ref($close, 5)/$close", "ROC"),
        ("ROC60", "Ref($close, 60)/$close", "ROC"),
    ]


def test_window_zero_may_have_an_expression_of_its_own(tmp_path: Path) -> None:
    name = write_set(
        tmp_path, '[factors]\nC = { windows = [1, 0], expr = "Ref($close, N)/$open", zero = "$close/$open" }'
    )
    assert [f.canonical for f in load_factor_set(name, tmp_path).factors] == ["Ref($close, 1)/$open", "$close/$open"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no [factors]"),
        ("[factors", "is not valid TOML"),
        ("[factors]\nA = 5", "A must be an expression or a family"),
        ("[factors]\nA = { windows = [5] }", "A must be an expression or a family"),
        ('[factors]\nA = { windows = ["5"], expr = "Mean($close, N)" }', "windows of A must be whole numbers"),
        ('[factors]\nA = "$close"\na = "$open"', "two factors are called a"),
        ('[factors]\n"A B" = "$close"', '"A B" cannot name a factor'),
    ],
)  # fmt: skip
def test_a_malformed_set_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_factor_set(write_set(tmp_path, text), tmp_path)
    assert message in caught.value.message


def test_a_missing_set_and_an_unknown_name_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no factor set file .*other\.toml"):
        load_factor_set("other.toml", tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_factor_set("alpha185", tmp_path)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith('did you mean "alpha158"?')


def test_a_factor_that_looks_ahead_is_refused_with_the_part_that_does() -> None:
    with pytest.raises(ExpressionError, match=r"MOM looks ahead: Ref\(\$close, -1\)"):
        custom_set({"MOM": "$close/Ref($close, -1)"}, (), lambda name: name)


def test_a_name_of_the_set_cannot_be_taken_again() -> None:
    with pytest.raises(ConfigError, match="two factors are called KMID"):
        custom_set({"KMID": "$close/$open"}, load_factor_set("alpha158", Path()).factors, lambda name: name)


def test_a_label_may_look_ahead_and_says_how_far() -> None:
    assert parse_label("Ref($close, -2)/Ref($close, -1) - 1", "label")[1] == 2


@pytest.mark.parametrize("name", ["instrument", "DateTime", "row_number", "label", "has_bar"])
def test_a_name_of_the_store_s_own_columns_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a factor"):
        custom_set({name: "$close/$open"}, (), lambda key: key)


@pytest.mark.parametrize("stem", ["custom", "bars", "label", 'we"ird'])
def test_a_set_s_file_cannot_have_the_name_of_another_table(tmp_path: Path, stem: str) -> None:
    (tmp_path / f"{stem}.toml").write_text('[factors]\nA = "$close"')
    with pytest.raises(ConfigError, match="cannot name a factor set"):
        load_factor_set(f"{stem}.toml", tmp_path)


def test_every_malformed_factor_of_a_set_is_reported(tmp_path: Path) -> None:
    name = write_set(tmp_path, '[factors]\nA = "Maen($close, 5)"\nB = "$close"\nC = "Ref($close, -1)"')
    with pytest.raises(ConfigError) as caught:
        load_factor_set(name, tmp_path)
    assert [part.where for part in caught.value.parts()] == ["A in mine.toml", "C in mine.toml"]
