from __future__ import annotations

import pytest

from airflow_spark_k8s.core.executor_ids import IdMarks, id_marks


def test_marks_are_read_as_they_were_written() -> None:
    marks = IdMarks(reserved=7, settled=4, holder="me-1")
    assert id_marks(marks.annotation()["airflow-spark-k8s/executor-ids"]) == marks


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        (None, IdMarks()),
        ("", IdMarks()),
        ("{}", IdMarks()),
        ("no json", IdMarks()),
        ("[1]", IdMarks()),
        ('{"reserved": "many"}', IdMarks()),
        ('{"reserved": null}', IdMarks()),
        ('{"reserved": -3, "settled": -1}', IdMarks()),
        ('{"reserved": 3, "settled": 9, "holder": "x"}', IdMarks(3, 3, "x")),
        ('{"reserved": 3, "settled": 1, "later": "ignored"}', IdMarks(3, 1)),
    ],
)
def test_any_annotation_gives_marks(text: str | None, marks: IdMarks) -> None:
    assert id_marks(text) == marks


def test_ids_between_the_marks_are_not_settled() -> None:
    assert list(IdMarks(reserved=5, settled=3).unsettled()) == [4, 5]


@pytest.mark.parametrize(
    ("highest", "marks"),
    [(4, IdMarks(5, 3, "x")), (5, IdMarks(5, 3, "x")), (8, IdMarks(8, 8, "x"))],
    ids=["below", "equal", "above"],
)
def test_no_id_that_was_seen_is_given_out_again(highest: int, marks: IdMarks) -> None:
    assert IdMarks(5, 3, "x").covering(highest) == marks
