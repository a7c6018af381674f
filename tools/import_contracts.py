"""Contracts for import-linter that name packages which may not exist yet, or no longer.

import-linter's own `forbidden` and `protected` contracts stop with an error when a module they name is not there.
"""

from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from typing_extensions import override


class FenceContract(Contract):
    """What lies behind the fence is imported by its keepers only; through the keepers anyone may use it.

    `fenced` lists packages of ours or of others; `public` lists packages within them that anyone may import;
    `keepers` lists the packages that may import the rest. A package stands for all that is in it, except that a keeper
    or public package written with a trailing dot (`penstock.`) is that one module alone.
    """

    type_name = "fence"

    fenced = fields.ListField(subfield=fields.StringField())
    keepers = fields.ListField(subfield=fields.StringField())
    public = fields.ListField(subfield=fields.StringField(), required=False)

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        fenced = cast("list[str]", self.fenced)
        keepers = cast("list[str]", self.keepers)
        public = cast("list[str] | None", self.public) or []
        broken: list[str] = []
        for imported in sorted(graph.modules):
            if not _within(imported, fenced) or _within(imported, public):
                continue
            importers = graph.find_modules_that_directly_import(imported)
            broken.extend(
                f"{importer} -> {imported} ({_lines(graph, importer, imported)})"
                for importer in sorted(importers)
                if not _within(importer, keepers)
            )
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in cast("list[str]", check.metadata["broken"]):
            output.print_error(f"- {line}", bold=False)
        output.new_line()


def _within(module: str, packages: list[str]) -> bool:
    return any(module == package.removesuffix(".") or module.startswith(f"{package}.") for package in packages)


def _lines(graph: ImportGraph, importer: str, imported: str) -> str:
    details = graph.get_import_details(importer=importer, imported=imported)
    return ", ".join(f"l.{detail['line_number']}" for detail in details)
