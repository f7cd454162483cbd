"""Title keys: the rules of models/README.md one by one, and the golden list that the library is held to."""

import json

import pytest

from oneiro_models.bundle import title_key, year_of
from oneiro_models.golden import golden_titles


@pytest.mark.parametrize(
    ("rule", "title", "key"),
    [
        ("1: year", "2012 (2009)", "2012\t2009"),
        ("1: only at the end", "Apollo (1970) Again", "apollo 1970 again"),
        ("1: four digits after a space", "NoSpace(1999)", "nospace 1999"),
        ("2: trailing article", "Bug's Life, A (1998)", "bugs life\t1998"),
        ("2: in any case", "matrix, THE", "matrix"),
        ("2: a whole word", "Anna, Theresa", "anna theresa"),
        ("3: compatibility forms", "\ufb01n Alien\u00b3", "fin alien3"),
        ("4: full case folding", "Stra\u00dfe", "strasse"),
        ("4: dotted capital I", "\u0130stanbul", "istanbul"),
        ("4: final sigma", "\u03a3\u03a3", "\u03c3\u03c3"),
        ("5: accents", "M\u00c1TRIX", "matrix"),
        ("5: accents already apart", "A\u0301ma", "ama"),
        ("5: three apostrophes", "a'b\u2019c\u02bcd", "abcd"),
        ("5: the rest is space", "Face/Off: 2", "face off 2"),
        ("6: one space", "  two   words ", "two words"),
        ("7: leading article", "An Education", "education"),
        ("7: one only", "The A Team", "a team"),
        ("7: not alone", "A (2002)", "a\t2002"),
        ("8: year without words", "... (1999)", "\t1999"),
        ("nothing left", "!!!", ""),
    ],
)
def test_rule(rule, title, key):
    assert title_key(title) == key, rule


def test_the_examples_of_the_format():
    assert {title_key(title) for title in ("The Matrix (1999)", "matrix, The (1999)", "M\u00c1TRIX (1999)")} == {"matrix\t1999"}


def test_golden_keys_are_reproduced(golden, tmp_path):
    golden_titles(tmp_path / "title_keys.json")
    assert (tmp_path / "title_keys.json").read_bytes() == (golden / "title_keys.json").read_bytes()


def test_golden_titles_are_distinct_and_plenty(golden):
    pairs = json.loads((golden / "title_keys.json").read_text(encoding="utf-8"))
    titles = [pair["title"] for pair in pairs]
    assert len(set(titles)) == len(titles) > 80


def test_year():
    assert year_of("2012 (2009)") == 2009
    assert year_of("Nightjar") is None
