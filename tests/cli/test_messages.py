"""Errors of each library as one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError, NoCredentialsError
from pydantic import BaseModel, Field, ValidationError
from ray.train.v2.api.exceptions import WorkerGroupError

from lmtx_ray.cli.messages import MOST, is_users_to_mend, name_of, one_line
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.config.yaml_errors import explain


class Settings(BaseModel):
    least: float = Field(0.0, le=1)
    names: tuple[str, ...] = ()


def raised(kind: type[BaseException], function, *arguments: object) -> BaseException:
    with pytest.raises(kind) as found:
        function(*arguments)
    return found.value


def of_ray(name: str, trace: str) -> Exception:
    kind = type(name, (Exception,), {"__module__": "ray.exceptions"})
    return kind(trace)


def test_settings_name_the_field_and_what_it_got() -> None:
    error = raised(ValidationError, lambda: Settings(least=90, names="a.csv"))
    line = one_line(error)
    assert "least: input should be less than or equal to 1, got 90" in line
    assert "names: input should be a valid tuple, got 'a.csv'" in line
    assert "http" not in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n\tb: 2", "line 2, column 1: a tab, where YAML takes spaces only"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here: is the line before"),
        ("a: 1\nb\nc: 2", "line 2, column 1: a name needs a colon"),
        ("a: 'open", "line 1, column 9: "),
        ("a: %x", "line 1, column 4: found character '%' that cannot start any token: put the"),
    ],
)
def test_yaml_names_line_and_column(text: str, line: str) -> None:
    error = raised(yaml.YAMLError, yaml.safe_load, text)
    assert explain(error).startswith(line)
    assert one_line(error) == explain(error)


def test_files_and_bytes(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert one_line(raised(OSError, absent.read_text)) == f"{absent}: no such file or directory"
    line = one_line(raised(UnicodeDecodeError, b"caf\xe9".decode))
    assert line.startswith("not UTF-8: byte 3 is 0xe9; save it as UTF-8")
    assert "UTF-8 cannot hold" in one_line(raised(UnicodeEncodeError, "\ud800".encode))


def test_s3_says_what_to_set() -> None:
    assert one_line(NoCredentialsError()).startswith("no credentials for S3: set AWS_ACCESS_KEY")
    answer = {"Error": {"Code": "NoSuchBucket", "Message": "gone"}}
    line = one_line(ClientError(answer, "GetObject"))
    assert line.startswith("there is no such bucket (An error occurred (NoSuchBucket)")


def test_of_a_trace_from_a_worker_what_was_raised_there() -> None:
    cause = ValueError("documents.jsonl row 3: no text")
    error = of_ray("RayTaskError", "Traceback\n  File x\nValueError: documents.jsonl row 3")
    error.cause = cause  # type: ignore[attr-defined]
    assert one_line(error) == str(cause)
    assert name_of(error) == "ValueError"
    trace = "Traceback (most recent call last):\n  File x\nKeyError: 'choices'\n"
    error = of_ray("UserCodeException", trace)
    assert (one_line(error), name_of(error)) == ("'choices'", "KeyError")
    known = "Traceback:\nlmtx_ray.io.locations.StorageError: s3://a/b: 403\n"
    assert is_users_to_mend(of_ray("UserCodeException", known))
    assert not is_users_to_mend(error)


def test_of_training_what_was_raised_in_a_worker() -> None:
    failures = {1: ConfigError("fit.max_tokens: 600 tokens of a text")}
    error = WorkerGroupError("Training failed due to worker errors:\n[Rank 1]:\nTrace", failures)
    assert (one_line(error), name_of(error)) == (str(failures[1]), "ConfigError")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("label_keys"), "there is no 'label_keys'"),
        (ValueError(""), "ValueError"),
        (ValueError("two things:\n  the second\n  and more"), "two things: the second"),
        (ValueError("a\n\n    ^"), "a"),
        (ValueError("x" * 5000), "x" * (MOST - 1) + "…"),
    ],
)
def test_other_messages_are_one_line(error: Exception, line: str) -> None:
    assert one_line(error) == line
