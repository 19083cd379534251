"""What holds for every test."""

import gc
from collections.abc import Iterator
from functools import partial

import hypothesis
import pytest

# A busy machine is no defect. Examples are the same in every run, so that none fails by chance: new ones are looked for
# by whoever asks for it, with `pytest -m hypothesis --hypothesis-profile=search`.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def state_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers that are started without a state folder keep their state in a temporary one, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def young_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage is looked for among new objects alone: to look through a whole suite's takes a quarter of a second.

    The harness does before each load, of which there are hundreds.
    """
    monkeypatch.setattr(gc, "collect", partial(gc.collect, 0))
