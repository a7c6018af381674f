from grimp import ImportGraph
from importlinter import ContractCheck

from tools.import_contracts import FenceContract


def check(imports: list[tuple[str, str]], **options: list[str]) -> ContractCheck:
    graph = ImportGraph()
    for module in sorted({module for pair in imports for module in pair}):
        graph.add_module(module)
    for importer, imported in imports:
        graph.add_import(importer=importer, imported=imported, line_number=7, line_contents="")
    contract = FenceContract(name="a fence", session_options={}, contract_options=dict(options))
    return contract.check(graph, verbose=False)


def test_a_keeper_may_import_what_lies_behind_the_fence() -> None:
    assert check([("app.store.pool", "driver")], fenced=["driver"], keepers=["app.store"]).kept


def test_others_may_use_it_through_the_keeper() -> None:
    imports = [("app.web", "app.store"), ("app.store", "driver")]
    assert check(imports, fenced=["driver"], keepers=["app.store"]).kept


def test_anyone_else_breaks_the_contract() -> None:
    broken = check([("app.storefront", "driver")], fenced=["driver"], keepers=["app.store"])
    assert not broken.kept
    assert broken.metadata["broken"] == ["app.storefront -> driver (l.7)"]


def test_a_package_that_nobody_imports_is_no_error() -> None:
    assert check([("app.a", "app.b")], fenced=["driver"], keepers=["app.store"]).kept


def test_a_public_package_is_open_and_its_neighbours_are_not() -> None:
    imports = [("mine", "app"), ("mine", "app.data.load"), ("mine", "app.model")]
    broken = check(imports, fenced=["app"], public=["app.", "app.data"], keepers=["app"])
    assert broken.metadata["broken"] == ["mine -> app.model (l.7)"]
