from __future__ import annotations

import io
import re
import zlib

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tasks.comparison.report.drawn import draw_figures
from tasks.comparison.report.section_files import section_content
from tasks.comparison.section import Drawing, Picture, Section, Table
from tasks.tracking.records import Folder, Metrics


def png(width=3, height=2):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def line(calls=None):
    def draw():
        if calls is not None:
            calls.append(1)
        drawn = Figure(figsize=(3, 2))
        axes = drawn.subplots()
        axes.plot([0, 1], [0, 1])
        axes.set_title("Öl & Ärger")
        return drawn

    return draw


def section(**more):
    return Section("made", "What was made", **more)


def written(tmp_path, *sections, formats=("png",)):
    found = list(section_content(sections, draw_figures(sections, formats), tmp_path))
    files = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    return found, files


def test_a_table_has_all_columns_as_csv_and_what_people_read_as_latex(tmp_path):
    frame = pd.DataFrame({"name": ["a,b", 'c"d'], "value": [0.123456789, None], "hidden": [1, 2]})
    table = Table("scores", "The scores.", frame, {"name": "Name", "value": "Value"})
    _, files = written(tmp_path, section(tables=(table,)))
    assert set(files) == {"tables/scores.csv", "tables/scores.tex"}
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(files["tables/scores.csv"])), frame)
    text = files["tables/scores.tex"].decode()
    assert "hidden" not in text
    assert "0.123" in text


def test_a_table_for_files_alone_has_no_latex(tmp_path):
    _, files = written(tmp_path, section(tables=(Table("raw", "Raw.", pd.DataFrame({"a": [1]}), {}),)))
    assert set(files) == {"tables/raw.csv"}


def test_figures_are_drawn_once_and_written_in_all_formats(tmp_path):
    calls = []
    part = section(drawings=(Drawing("line", "A line.", line(calls)),), pictures=(Picture("red", "Red.", png()),))
    _, files = written(tmp_path, part, formats=("png", "pdf", "svg"))
    assert len(calls) == 1
    assert set(files) == {"figures/line.png", "figures/line.pdf", "figures/line.svg", "figures/red.png"}
    assert files["figures/red.png"] == png()
    assert files["figures/line.pdf"].startswith(b"%PDF")
    assert Image.open(io.BytesIO(files["figures/line.png"])).width > 400


def test_png_is_there_whatever_is_wanted(tmp_path):
    _, files = written(tmp_path, section(drawings=(Drawing("line", "A line.", line()),)), formats=("svg",))
    assert set(files) == {"figures/line.png", "figures/line.svg"}


def test_the_same_figure_gives_the_same_files():
    part = section(drawings=(Drawing("line", "A line.", line()),))
    first, second = (draw_figures([part], ["png", "pdf", "svg"])["line"] for _ in range(2))
    assert first == second
    assert b"CreationDate" not in first["pdf"]
    assert b"<dc:date>" not in first["svg"]


def test_letters_in_a_pdf_are_truetype():
    drawn = draw_figures([section(drawings=(Drawing("line", "A line.", line()),))], ["pdf"])["line"]["pdf"]
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", drawn, re.DOTALL)
    text = drawn + b"".join(_inflated(stream) for stream in streams)
    assert b"/FontFile2" in text
    assert b"/Type3" not in text


def _inflated(stream):
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


@pytest.mark.parametrize("kind", ["drawings", "tables", "both"])
def test_one_file_never_takes_the_place_of_another(kind):
    drawing, picture = Drawing("same", "A line.", line()), Picture("same", "Red.", png())
    table = Table("same", "Raw.", pd.DataFrame({"a": [1]}), {})
    own = {
        "drawings": ({"drawings": (drawing,)}, {"drawings": (drawing,)}),
        "tables": ({"tables": (table,)}, {"tables": (table,)}),
        "both": ({"drawings": (drawing,)}, {"pictures": (picture,)}),
    }[kind]
    with pytest.raises(ValueError, match="same"):
        draw_figures([section(**part) for part in own], ["png"])


def test_metrics_and_further_files_are_recorded(tmp_path):
    part = section(metrics={"made/score": 0.5}, files={"below/list.csv": b"a\n"})
    found, files = written(tmp_path, part)
    assert found == [Metrics({"made/score": 0.5}), Folder(tmp_path)]
    assert files == {"below/list.csv": b"a\n"}


def test_nothing_to_write_gives_no_record(tmp_path):
    assert written(tmp_path, section(sentences=("Nothing.",))) == ([], {})
