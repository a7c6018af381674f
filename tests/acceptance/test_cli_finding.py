from __future__ import annotations

import pytest

from penstock.cli import finding
from tests.acceptance.conftest import Cli

APP = """
import penstock as ps
days = ps.Pipeline("days")
@days.step
def look(day: ps.Day) -> int:
    return 1
{name} = ps.App("{app}", [days])
"""


def app_text(name: str = "app", app: str = "found") -> str:
    return APP.format(name=name, app=app)


def found(cli: Cli, *words: str) -> str:
    checks = {check["check"]: check for check in cli(*words, "doctor", "--json").json}
    assert checks["app"]["state"] == "ok", checks["app"]["says"]
    return str(checks["app"]["says"]).partition(":  ")[0]


@pytest.mark.parametrize("target", ["etl.shop:app", "etl.shop", "etl/shop.py", "etl/shop.py:app", "etl.shop:make"])
def test_every_form_of_app(bare: Cli, target: str) -> None:
    bare.write("etl/shop.py", app_text() + "\ndef make() -> ps.App:\n    return app\n")
    assert found(bare, "--app", target).startswith(f"found ({target}, from --app)")


def test_the_only_app_of_a_module_may_have_any_name(bare: Cli) -> None:
    bare.write("shop.py", app_text("shop"))
    assert found(bare, "--app", "shop").startswith("found (shop, from --app)")


def test_an_installed_app_by_its_name(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.write("shop.py", app_text())
    monkeypatch.setattr(finding, "installed_apps", lambda: [("other", "nowhere:app"), ("thing", "shop:app")])
    assert found(bare, "--app", "thing").startswith("found (thing, from --app)")


def test_the_order_of_places(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("by_flag", "by_env", "by_yaml", "by_toml", "installed", "pipelines"):
        bare.write(f"{name}.py", app_text(app=name))
    assert found(bare).startswith("pipelines (pipelines.py, from the files here)")
    monkeypatch.setattr(finding, "installed_apps", lambda: [("thing", "installed:app")])
    assert found(bare).startswith("installed (thing, from the installed apps)")
    bare.write("pyproject.toml", '[tool.penstock]\napp = "by_toml:app"\n')
    assert found(bare).startswith("by_toml (by_toml:app, from pyproject.toml)")
    bare.write("penstock.yaml", "app: by_yaml.py\n")
    assert found(bare).startswith("by_yaml (by_yaml.py, from penstock.yaml)")
    bare.set("PENSTOCK_APP", "by_env")
    assert found(bare).startswith("by_env (by_env, from PENSTOCK_APP)")
    assert found(bare, "--app", "by_flag").startswith("by_flag (by_flag, from --app)")


@pytest.mark.parametrize("file", ["pyproject.toml", "penstock.yaml"])
def test_a_file_further_up_speaks_of_its_own_folder_and_its_src(bare: Cli, file: str) -> None:
    bare.write(file, '[tool.penstock]\napp = "shop.jobs:app"\n' if file.endswith("toml") else "app: shop.jobs:app\n")
    bare.write("src/shop/jobs.py", app_text())
    below = bare.folder / "deep" / "down"
    below.mkdir(parents=True)
    bare.patch.chdir(below)
    assert found(bare).startswith(f"found (shop.jobs:app, from {file})")


def test_a_guess_says_what_it_took(bare: Cli) -> None:
    bare.write("src/shop/__init__.py", "")
    bare.write("src/shop/pipelines.py", app_text())
    bare.write("main.py", "print('no app, and not imported')\n")
    assert bare("doctor").err.startswith("Using the app in src/shop/pipelines.py.\n")


def test_two_guesses_are_none(bare: Cli) -> None:
    bare.write("app.py", app_text())
    bare.write("src/shop/pipelines.py", app_text())
    told = bare("plan")
    assert told.status == 2
    assert "Several files here make an App: app.py, src/shop/pipelines.py." in told.err


def test_an_installed_app_goes_before_a_file_here_and_says_so(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.write("app.py", app_text())
    bare.write("other.py", app_text())
    monkeypatch.setattr(finding, "installed_apps", lambda: [("thing", "other:app")])
    assert "Using the installed app thing; for the one here: penstock --app app.py" in bare("doctor").err


def test_no_app(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "installed_apps", list[tuple[str, str]])
    told = bare("plan")
    assert told.status == 2
    assert told.err == (
        "No app found. Say where it is: penstock --app aegis.pipelines:app …, or in pyproject.toml [tool.penstock] "
        'app = "aegis.pipelines:app". Looked for: --app, PENSTOCK_APP, penstock.yaml, pyproject.toml, installed apps '
        "(none), app.py, pipelines.py, main.py.\n"
    )


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("shpo:app", "there is no module shpo; did you mean shop? Looked in"),
        ("shop:ap", "shop has no ap; did you mean app?"),
        ("shop:days", "days is a Pipeline, and no ps.App."),
        ("shop:look", "look is a "),
        ("shop:made", "made takes parameters"),
        ("shpo.py", "there is no file shpo.py; did you mean shop.py?"),
        ("two", "two has several (one, other): say two:one."),
        ("none", "none makes no App."),
        ("a b", "there is no module a b"),
    ],
)
def test_what_is_named_and_is_not_there(bare: Cli, target: str, said: str) -> None:
    bare.write("shop.py", app_text() + "\ndef made(x: int) -> ps.App:\n    return app\n")
    bare.write("two.py", app_text("one") + 'other = ps.App("o", [days])\n')
    bare.write("none.py", "")
    told = bare("plan", "--app", target)
    assert (told.status, told.out) == (2, "")
    assert f"{target} (from --app): {said}" in told.err
    assert len(told.err.splitlines()) == 1


def test_a_definition_error_is_its_message_alone(bare: Cli) -> None:
    bare.write("app.py", 'import penstock as ps\np = ps.Pipeline("p", lane="dya")\napp = ps.App("a", [p])\n')
    told = bare("plan")
    assert told.status == 1
    assert "lane='dya' is not a field of Day; did you mean 'day'?" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nimport penstock.nothing_of_that_name\nApp()", "app.py:2: ModuleNotFoundError: No module named"),
        ("import penstock\n\nApp(", "app.py:3: SyntaxError: '(' was never closed."),
        ("import penstock\ndef f():\n    1 / 0  # App()\nf()", "app.py:3: ZeroDivisionError: division by zero."),
        ("import penstock\nimport sys\nsys.exit(3)  # App()", "app.py:3: SystemExit: 3."),
    ],
)
def test_a_module_that_fails_is_one_line_with_its_place(bare: Cli, text: str, said: str) -> None:
    bare.write("app.py", text)
    told = bare("plan", "--app", "app.py")
    assert told.status == 1
    assert told.err.startswith(said)
    assert "penstock --traceback" in told.err
    assert len(told.err.splitlines()) == 1
    assert "Traceback" in bare("--traceback", "plan", "--app", "app.py").err
    bare.set("PENSTOCK_TRACEBACK", "1")
    assert "Traceback" in bare("plan", "--app", "app.py").err


def test_a_wrong_pyproject(bare: Cli) -> None:
    bare.write("pyproject.toml", "[tool.penstock]\napp = 3\n")
    assert "app is text such as" in bare("plan").err
    bare.write("pyproject.toml", "[tool")
    told = bare("plan")
    assert told.status == 2
    assert told.err.startswith("pyproject.toml cannot be read:")
