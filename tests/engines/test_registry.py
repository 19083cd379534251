"""Engines by entry point: this package's own, and those of any other package that is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from firstaudio.config import Config
from firstaudio.engines.registry import available, create
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import ConfigError, MissingExtraError


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package with one engine: a module, and the metadata that names it."""

    def install(source: str, target: str = "parrot:ParrotEngine") -> None:
        metadata = tmp_path / "parrot_tts-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot-tts\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[firstaudio.engines]\nparrot = {target}\n")
        (tmp_path / "parrot.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "parrot", raising=False)

    return install


def test_our_own_engines_are_there():
    assert {"espeak", "synthetic"} <= set(available())


def test_an_engine_is_made_from_the_configuration():
    engine = create("synthetic", Config())

    assert isinstance(engine, SyntheticEngine)
    assert engine.info.name == "synthetic"


def test_another_package_can_add_an_engine(install):
    install("class ParrotEngine:\n    def __init__(self, config):\n        self.config = config\n")
    config = Config()

    assert "parrot" in available()
    assert config is create("parrot", config).config


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"there is no engine 'kokkoro'; installed are .*espeak.*synthetic"):
        create("kokkoro", Config())


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("import feathers.wing\n", "parrot:ParrotEngine", "pip install feathers"),
        ("", "parrot:ParrotEngine", "is not where its package says"),
        ("", "cockatoo:Engine", "pip install parrot-tts"),
    ],
)
def test_an_engine_that_cannot_be_imported_says_what_to_install(install, source: str, target: str, message: str):
    install(source, target)

    with pytest.raises(ConfigError, match=message):
        create("parrot", Config())


def test_an_engine_may_say_by_itself_what_is_missing(install):
    install("from firstaudio.errors import MissingExtraError\nraise MissingExtraError('the parrot engine', 'parrot')\n")

    with pytest.raises(MissingExtraError, match=r"pip install 'firstaudio\[parrot\]'"):
        create("parrot", Config())


def test_listing_engines_imports_none(install):
    install("raise AssertionError('imported')\n")

    assert "parrot" in available()
