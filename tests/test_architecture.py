"""The rules of the house that a machine can check: who imports whom, and what nobody may do."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFORMANCE = ROOT / "conformance"
PACKAGES = ("conformance", "fault_injection", "reports")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

LOWER = {"fault_injection": ("conformance", "reports"), "reports": ("conformance", "fault_injection")}
NO_IO = (
    "trio",
    "httpx",
    "httpcore",
    "socket",
    "ssl",
    "time",
    "random",
    "secrets",
    "os",
    "subprocess",
    "asyncio",
    "anyio",
    "threading",
    "pathlib",
    "io",
    "urllib.request",
    "http.client",
    "psutil",
    "tempfile",
    "shutil",
)


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a file imports, anywhere in it; `from a import b` as `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_of(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def test_there_is_something_to_check() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(PACKAGES)
    assert len(FILES) > 100
    assert sum(path.is_relative_to(ROOT / "conformance" / "rules") for path in FILES) > 20


@pytest.mark.parametrize("package", LOWER)
def test_the_lower_packages_import_neither_conformance_nor_each_other(package: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in (ROOT / package).rglob("*.py")
        for module in imported(parsed(path))
        if is_of(module, LOWER[package])
    }
    assert wrong == set()


def rooms(path: Path) -> set[str]:
    """The rooms of `conformance` (its packages and modules) from which a file imports."""
    found = {module.split(".")[1] for module in imported(parsed(path)) if module.startswith("conformance.")}
    return {each for each in found if (CONFORMANCE / each).is_dir() or (CONFORMANCE / f"{each}.py").is_file()}


def test_no_room_is_imported_by_one_that_it_imports_itself() -> None:
    """Whatever is imported from a room, nothing comes back to it, on however many ways around."""
    imports: dict[str, set[str]] = {}
    for path in sorted(CONFORMANCE.rglob("*.py")):
        room = path.relative_to(CONFORMANCE).parts[0].removesuffix(".py")
        imports.setdefault(room, set()).update(rooms(path) - {room})
    assert "drive" in imports["scenarios"]
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))


@pytest.mark.parametrize("package", ["rules", "wire", "dialect", "proposal"])
def test_what_thinks_does_no_io_and_reads_no_clock(package: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in (ROOT / "conformance" / package).rglob("*.py")
        for module in imported(parsed(path))
        if is_of(module, NO_IO) or is_of(module, ("conformance.drive", "conformance.transport"))
    }
    assert wrong == set()


def test_rules_read_no_clock_and_draw_no_chance_by_another_door() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in (ROOT / "conformance" / "rules").rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1]
        in {"now", "utcnow", "today", "open", "read_text", "getenv", "input"}
    }
    assert wrong == set()


@pytest.mark.parametrize("package", ["fault_injection", "conformance/drive", "conformance/reference"])
def test_chance_comes_from_a_random_that_is_passed_in(package: str) -> None:
    """Only the class `random.Random` is used of the module; `random.SystemRandom` where nobody may guess."""
    wrong = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "random"
        and node.attr not in {"Random", "SystemRandom"}
    }
    assert wrong == set()


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_nobody_sleeps_in_real_time_or_swallows_errors(path: Path) -> None:
    wrong = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep"}:
            wrong.append(f"{node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            wrong += [
                f"{node.lineno}: from time import {each.name}" for each in node.names if each.name == "sleep"
            ]
        if isinstance(node, ast.ExceptHandler):
            caught = "" if node.type is None else ast.unparse(node.type)
            if not caught:
                wrong.append(f"{node.lineno}: a bare except")
            if _does_nothing(node.body) and not _is_narrow(caught):
                wrong.append(f"{node.lineno}: except {caught}: pass")
    assert wrong == []


def _does_nothing(body: list[ast.stmt]) -> bool:
    return all(isinstance(each, ast.Pass | ast.Continue) or _is_constant(each) for each in body)


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_narrow(caught: str) -> bool:
    return not {"Exception", "BaseException"} & set(
        caught.replace("(", " ").replace(")", " ").replace(",", " ").split()
    )


def _undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions and classes without a docstring."""
    if ast.get_docstring(tree) is None and tree.body:
        yield "the module"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if not node.name.startswith("_") and ast.get_docstring(node) is None and not _is_registered(node):
            yield f"{node.lineno}: {node.name}"


def _is_registered(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """A rule or a scenario says what it is in its decorator; hooks of pytest are documented by pytest."""
    words = {ast.unparse(each).partition("(")[0] for each in node.decorator_list}
    return bool(words & {"rule", "scenario", "pytest.hookimpl"}) or node.name.startswith("pytest_")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_what_is_public_says_what_it_is(path: Path) -> None:
    if path.is_relative_to(ROOT / "conformance" / "suite"):
        return  # its functions are tests
    assert list(_undocumented(parsed(path))) == []


def test_every_rule_and_scenario_says_what_it_is() -> None:
    from conformance.rules import RULES
    from conformance.scenarios import SCENARIOS

    for rule in RULES:
        for text in (rule.claim, rule.why, rule.source, rule.mend):
            assert len(text) > 10, rule.name
        assert rule.scenarios, rule.name
    known = {scenario.name for scenario in SCENARIOS}
    assert all(scenario.summary for scenario in SCENARIOS)
    assert len(known) == len(SCENARIOS)
    assert len({rule.name for rule in RULES}) == len(RULES)


def _loaded_by(statement: str) -> set[str]:
    """The modules that are there after this statement, in a fresh interpreter."""
    begin, end = (
        "import json, sys\nbefore = set(sys.modules)",
        "print(json.dumps(sorted(set(sys.modules) - before)))",
    )
    code = f"{begin}\n{statement}\n{end}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return set(found)


def test_the_pytest_plugin_costs_whoever_does_not_use_it_nothing() -> None:
    loaded = _loaded_by("import pytest\nbefore = set(sys.modules)\nimport conformance.pytest_plugin")
    assert "conformance.pytest_plugin" in loaded
    assert not loaded & {
        "trio",
        "httpx",
        "httpcore",
        "h11",
        "msgspec",
        "jinja2",
        "hypothesis",
        "psutil",
        "rich",
    }
    assert {module for module in loaded if is_of(module, PACKAGES)} == {
        "conformance",
        "conformance.pytest_plugin",
    }


def test_reports_can_be_used_without_a_network() -> None:
    loaded = _loaded_by("import reports.html, reports.junit, reports.markdown, reports.text")
    assert not loaded & {"trio", "httpx", "conformance", "fault_injection"}


def test_a_history_can_be_judged_without_a_network() -> None:
    loaded = _loaded_by("import conformance.judging")
    assert not loaded & {"httpx", "httpcore", "h11", "psutil", "hypothesis"}
