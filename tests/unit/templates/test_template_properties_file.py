from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from airflow_spark_k8s.templates.properties_file import properties_file

TRICKY = {
    "spark.plain": "value",
    "spark.empty": "",
    "spark.lines": "one\ntwo\r\nthree",
    "spark.tab": "\ta\tb\f",
    "spark.blanks": "   leading and trailing  ",
    "spark.only.blanks": "  ",
    "spark.path": "C:\\temp\\new",
    "spark.backslash.at.end": "end\\",
    "spark.signs": "a=b:c#d!e",
    "#spark.comment": "no comment",
    "!spark.bang": "no comment either",
    "spark.key with=signs:": "=x",
    "spark.unicode": "süß € 日本 \U0001f600 \u2028 \x00 \x7f \x85 \ufeff",
    "spark.ключ": "key beyond ASCII",
    "spark.quotes": "\"double\" 'single' $HOME ${x}",
}


def test_a_line_for_each_property_sorted() -> None:
    assert properties_file({"spark.b": "2", "spark.a": "1"}) == "spark.a=1\nspark.b=2\n"


def test_no_properties_make_an_empty_file() -> None:
    assert properties_file({}) == ""


def test_the_file_is_ascii_so_that_no_encoding_can_break_it() -> None:
    text = properties_file(TRICKY)
    assert text.isascii()
    assert len(text.splitlines()) == len(TRICKY)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(" x", "\\ x", id="a leading blank is escaped, or it is part of the separator"),
        pytest.param("a\nb", "a\\nb", id="a line break does not end the line"),
        pytest.param("a\\", "a\\\\", id="a backslash at the end does not join the next line"),
        pytest.param("é", "\\u00e9", id="a character beyond ASCII is an escape"),
        pytest.param("\U0001f600", "\\ud83d\\ude00", id="one beyond 16 bits is two escapes"),
        pytest.param("a=b c", "a=b c", id="signs and blanks inside a value mean nothing"),
    ],
)
def test_escapes(value: str, written: str) -> None:
    assert properties_file({"spark.k": value}) == f"spark.k={written}\n"


@pytest.mark.spark
def test_java_reads_back_exactly_what_was_written(tmp_path: Path) -> None:
    java = shutil.which("java")
    if java is None:
        pytest.skip("no Java on the PATH")
    (tmp_path / "ReadBack.java").write_text(
        """
        import java.io.*;
        import java.nio.charset.StandardCharsets;
        import java.util.*;

        public class ReadBack {
            public static void main(String[] files) throws Exception {
                Properties read = new Properties();
                try (Reader in = new FileReader(files[0], StandardCharsets.UTF_8)) {
                    read.load(in);
                }
                for (String key : read.stringPropertyNames()) {
                    System.out.println(units(key) + " " + units(read.getProperty(key)));
                }
            }

            private static String units(String text) {
                StringBuilder out = new StringBuilder("u");
                for (char unit : text.toCharArray()) out.append(String.format("%04x", (int) unit));
                return out.toString();
            }
        }
        """,
        encoding="utf-8",
    )
    (tmp_path / "spark.properties").write_text(properties_file(TRICKY), encoding="utf-8")
    answer = subprocess.run(
        [java, tmp_path / "ReadBack.java", tmp_path / "spark.properties"],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    pairs = [line.split(" ") for line in answer.stdout.splitlines()]
    read = {_from_units(key): _from_units(value) for key, value in pairs}
    assert json.dumps(read, sort_keys=True) == json.dumps(TRICKY, sort_keys=True)


def _from_units(text: str) -> str:
    return bytes.fromhex(text[1:]).decode("utf-16-be")
