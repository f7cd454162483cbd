"""Catalogs of titles alone."""

import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import DATA

from oneiro_models.data import read_films, read_games

FOLDER = DATA / "item-texts"


@pytest.mark.data_set("item-texts")
def test_both_catalogs_are_whole():
    films, games = read_films(FOLDER / "movielens_10m_movies.parquet"), read_games(FOLDER / "amazon_games_titles.parquet")
    assert (len(films), len(games)) == (10681, 17408)
    assert (films.ids[0], films.titles[0], films.attributes["year"][0]) == ("1", "Toy Story (1995)", 1995)
    assert len(set(films.ids)) == len(films) and len(set(games.ids)) == len(games)
    assert all(films.titles) and all(games.titles)


def test_films_have_genres_and_years(tmp_path):
    rows = {"movie_id": [7, 2], "title": ["Up (2009)", "Up"], "genres": ["Animation|Drama", "(no genres listed)"]}
    pa.parquet.write_table(pa.table(rows), tmp_path / "films.parquet")
    films = read_films(tmp_path / "films.parquet")
    assert films.ids == ["7", "2"] and films.counts is None
    assert films.attributes == {"genres": [["Animation", "Drama"], []], "year": [2009, None]}
