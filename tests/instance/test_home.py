"""The state directory: made, recognised, refused; settings kept; sockets short whatever the path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raysail.instance.home import FORMAT, Home, InstanceError, Settings, current, runtime_folder


@pytest.fixture(autouse=True)
def own_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("/tmp") / f"rt{abs(hash(tmp_path)) % 100000}"
    folder.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))


def test_a_fresh_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    assert (home.path / "version").read_text().strip() == str(FORMAT)
    assert home.path.stat().st_mode & 0o077 == 0
    home.prepare()  # again is fine


def test_a_directory_of_another_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "version").write_text("99\n")
    with pytest.raises(InstanceError, match=r"format 99.*RAYSAIL_HOME"):
        home.prepare()


def test_a_foreign_directory_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InstanceError, match="not a raysail state directory"):
        Home(tmp_path).prepare()


def test_settings_survive_and_an_unreadable_file_says_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    wanted = replace(Settings(), slot=123, nodes="3x cpu=4", ray_token_authentication=False)
    home.write_settings(wanted)
    assert home.read_settings() == wanted
    home.settings_file.write_text("{")
    with pytest.raises(InstanceError, match="mend it, or remove it"):
        home.read_settings()


def test_sockets_stay_short_for_a_very_long_path() -> None:
    home = Home(Path("/" + "/".join(["a-long-folder-name"] * 12)))
    assert len(str(home.api_socket)) < 100


def test_the_environment_names_the_instance(tmp_path: Path) -> None:
    assert current({"RAYSAIL_HOME": str(tmp_path)}).path == tmp_path
    assert current({}).path == Path.home() / ".raysail"
    assert runtime_folder({"XDG_RUNTIME_DIR": "/nowhere/that/exists"}).name.startswith("raysail")
