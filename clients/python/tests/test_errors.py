from __future__ import annotations

import pickle
from typing import Any

import grpc
import pytest
from fake import error_info, field, retry_info, status

from evenkeel_client import (
    Cancelled,
    DeadlineExceeded,
    EvenkeelError,
    FieldViolation,
    InvalidArgument,
    MessageTooLarge,
    NonfiniteNorm,
    Overloaded,
    ProtocolError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from evenkeel_client._status import error_of

CODES = grpc.StatusCode


class Failure:
    """What an error of grpc tells."""

    def __init__(self, code: grpc.StatusCode, *details: tuple[str, bytes], trailer: bytes | None = None) -> None:
        self.trailer = status(code, "a message", *details) if trailer is None else trailer
        self.status = code

    def code(self) -> grpc.StatusCode:
        return self.status

    def details(self) -> str:
        return "a message"

    def trailing_metadata(self) -> Any:
        return (("other", "text"), ("grpc-status-details-bin", self.trailer))


def bad_request(*fields: tuple[str, str]) -> tuple[str, bytes]:
    violations = (field(1, field(1, path.encode()) + field(2, text.encode())) for path, text in fields)
    return "BadRequest", b"".join(violations)


def test_violations_have_paths_also_of_streams() -> None:
    error = error_of(Failure(CODES.INVALID_ARGUMENT, bad_request(("header.eps", "is wrong"), ("axes[0]", "too"))))
    assert isinstance(error, InvalidArgument)
    assert error.fields == [FieldViolation("eps", "is wrong"), FieldViolation("axes[0]", "too")]
    assert str(error) == "INVALID_ARGUMENT: a message"


def test_a_delay_is_in_seconds() -> None:
    error = error_of(Failure(CODES.RESOURCE_EXHAUSTED, retry_info(2, 500_000_000), error_info("OVERLOADED")))
    assert isinstance(error, Overloaded)
    assert error.retry_after == 2.5


def test_a_norm_has_its_numbers_and_names_in_order() -> None:
    metadata = {"total_norm": "NaN", "nan_elements": "3", "gradient_10": "later", "gradient_2": "first"}
    error = error_of(Failure(CODES.FAILED_PRECONDITION, error_info("NONFINITE_NORM", **metadata)))
    assert isinstance(error, NonfiniteNorm)
    assert (error.nan_elements, error.infinite_elements) == (3, 0)
    assert error.gradients == [(2, "first"), (10, "later")]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (CODES.DEADLINE_EXCEEDED, DeadlineExceeded),
        (CODES.CANCELLED, Cancelled),
        (CODES.UNAUTHENTICATED, Unauthenticated),
        (CODES.UNAVAILABLE, Unavailable),
        (CODES.UNIMPLEMENTED, Unimplemented),
        (CODES.UNKNOWN, EvenkeelError),
        (CODES.FAILED_PRECONDITION, EvenkeelError),
        (CODES.RESOURCE_EXHAUSTED, EvenkeelError),
    ],
)
def test_each_status_has_its_class(code: grpc.StatusCode, kind: type[EvenkeelError]) -> None:
    error = error_of(Failure(code))
    assert (type(error), error.code, error.message) == (kind, code, "a message")


@pytest.mark.parametrize("trailer", [b"", b"\xff", field(3, b"\xff\xff"), field(3, field(2, b"x")), b"\x1a\x7f"])
def test_broken_details_do_not_hide_the_error(trailer: bytes) -> None:
    assert type(error_of(Failure(CODES.INVALID_ARGUMENT, trailer=trailer))) is InvalidArgument


@pytest.mark.parametrize(
    "details", [("BadRequest", b"\xff"), ("ErrorInfo", b"\xff"), ("RetryInfo", b"\x0a\x01\xff"), ("RetryInfo", b"\xff")]
)
def test_a_broken_detail_does_not_hide_the_error(details: tuple[str, bytes]) -> None:
    for code in (CODES.INVALID_ARGUMENT, CODES.RESOURCE_EXHAUSTED):
        assert error_of(Failure(code, details)).code is code


def test_errors_pass_between_processes() -> None:
    for error in (
        InvalidArgument.of("eps", "is wrong"),
        Overloaded("busy", 2.5),
        MessageTooLarge("large"),
        NonfiniteNorm("not finite", {"total_norm": "Infinity", "gradient_1": "w"}),
        ProtocolError.of("output", "is missing"),
        EvenkeelError("other", code=CODES.UNKNOWN, reason="R"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
