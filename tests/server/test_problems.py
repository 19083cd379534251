"""The response to an error: its status, its headers, and what its message says to do next."""

import json

import pytest

from firstaudio.errors import EngineError, FirstaudioError, NotReadyError, StepTimeoutError, WorkerDiedError
from firstaudio.server.problems import describe, respond


@pytest.mark.parametrize("error", [WorkerDiedError("the worker died"), StepTimeoutError("the worker died")])
def test_a_client_is_told_to_send_a_request_again_that_a_worker_failed(error: EngineError):
    expected = "the worker died; nothing is wrong with the request: send it again"
    assert expected == describe(error)["error"]["message"]


@pytest.mark.parametrize("error", [WorkerDiedError("died"), StepTimeoutError("hung"), NotReadyError("starting")])
def test_what_is_over_soon_says_when_to_come_back(error: FirstaudioError):
    response = respond(error)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


def test_a_failure_that_will_happen_again_does_not_ask_to_come_back():
    response = respond(EngineError("the text cannot be spoken"))
    assert (response.status_code, "retry-after" in response.headers) == (500, False)
    assert json.loads(bytes(response.body))["error"]["message"] == "the text cannot be spoken"
