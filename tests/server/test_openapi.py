"""The document that the server publishes is what the server does."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from firstaudio.audio.encode import FORMATS
from firstaudio.server import openapi
from firstaudio.server.app import create_app

STATUSES = {"200", "400", "401", "403", "404", "408", "413", "415", "429", "500", "503"}


@pytest.fixture(scope="module")
def document(tools: Any) -> dict[str, Any]:
    return create_app(tools.settings()).openapi()


def test_every_path_is_documented(document: dict[str, Any]):
    expected = {"/", "/health", "/ready", "/v1/audio/speech", "/v1/audio/voices"}
    expected |= {"/v1/models", "/v1/models/{model}", "/v1/capabilities", "/metrics"}
    expected |= {"/status", "/session-status", "/startup-progress"}
    expected |= {"/dashboard/snapshot", "/ttfa-measurements", "/ttfa-performance", "/ttfa-performance/investigation"}
    expected |= {f"/benchmarks/optimization/{name}" for name in ("status", "trigger", "reset")}
    expected |= {f"/benchmarks/{name}" for name in ("run", "status", "cancel", "runs", "results", "ttfa/quick")}
    expected |= {"/benchmarks/results/report", "/benchmarks/results/{run_id}"}
    assert set(document["paths"]) == expected


def test_the_document_is_made_once_and_never_where_streams_are_served(tools: Any, monkeypatch):
    loops = []

    def document(app, config):
        loops.append(asyncio._get_running_loop())
        return {"openapi": "3.1.0"}

    monkeypatch.setattr(openapi, "_document", document)
    with tools.run(tools.settings()) as server:
        assert [server.get("/openapi.json").json for _ in range(2)] == [{"openapi": "3.1.0"}] * 2
    assert loops == [None]


def test_every_operation_says_what_it_does(document: dict[str, Any]):
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["description"]
            assert operation["tags"]


def test_no_name_of_a_schema_tells_where_it_lies_in_the_code(document: dict[str, Any]):
    assert [name for name in document["components"]["schemas"] if "__" in name] == []


def test_speech_declares_every_status_and_media_type(document: dict[str, Any]):
    responses = document["paths"]["/v1/audio/speech"]["post"]["responses"]
    assert set(responses) == STATUSES
    expected = {audio.media_type.partition(";")[0] for audio in FORMATS.values()} | {"text/event-stream"}
    assert set(responses["200"]["content"]) == expected


def test_the_status_that_is_never_sent_is_not_declared(document: dict[str, Any]):
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert not [operation["summary"] for operation in operations if "422" in operation["responses"]]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_keys_are_declared_where_they_are_asked_for(tools: Any):
    document = create_app(tools.settings(api_keys=("key",))).openapi()
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert document["paths"]["/v1/models"]["get"]["security"] == [{"bearer": []}]
    assert "security" not in document["paths"]["/health"]["get"]


def test_unknown_fields_are_declared_as_the_server_takes_them(tools: Any, document: dict[str, Any]):
    lenient = create_app(tools.settings(unknown_fields="ignore")).openapi()
    found = [d["components"]["schemas"]["SpeechRequest"]["additionalProperties"] for d in (document, lenient)]
    assert found == [False, True]


# Which voices, languages and texts can be spoken is more than a schema can say.
NOT_IN_THE_SCHEMA = "positive_data_acceptance"


def test_the_server_keeps_to_its_document_whatever_it_is_sent(server: Any, tmp_path: Any):
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--no-color"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", "1", "--continue-on-failure"]
    command += ["--exclude-checks", NOT_IN_THE_SCHEMA]
    command += ["--exclude-path", "/benchmarks/run"]  # it would begin real ones; tests/server/benchmarks has its errors
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert run.returncode == 0, run.stdout
