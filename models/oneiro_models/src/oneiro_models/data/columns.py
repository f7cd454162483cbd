"""Reads columns of a CSV or Parquet file, or says plainly what is wrong with it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from .. import Problem


def columns(path: Path, wanted: list[str], strings: list[str] = ()) -> pa.Table:
    """The `wanted` columns without empty cells; those in `strings` as text, so that `007` stays `007`."""
    if not path.is_file():
        raise Problem(f"{path}: no such file")
    try:
        if path.suffix.lower() == ".parquet":
            table = pa.parquet.read_table(path)
        elif path.suffix.lower() == ".csv":
            texts = pa.csv.ConvertOptions(column_types={name: pa.string() for name in strings})
            table = pa.csv.read_csv(path, convert_options=texts)
        else:
            raise Problem(f"{path}: expected a .csv or .parquet file")
    except (pa.ArrowInvalid, OSError) as error:
        raise Problem(f"{path}: {error}") from None
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise Problem(f"{path}: no column {_list(missing)}; it has {_list(table.column_names)}")
    table = table.select(wanted)
    if not table.num_rows:
        raise Problem(f"{path}: no rows")
    for name in wanted:
        empty = table[name].null_count
        if name in strings:
            table = table.set_column(table.column_names.index(name), name, pc.cast(table[name], pa.string()))
            empty += pc.sum(pc.equal(table[name], "")).as_py() or 0
        if empty:
            raise Problem(f"{path}: column `{name}` has {empty} empty cells")
    return table


def _list(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
