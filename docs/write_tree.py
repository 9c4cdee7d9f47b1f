"""Write the tree of folders into docs/development.md, a line a folder from its docstring: python docs/write_tree.py."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "development.md"
PACKAGES: Final = ("pipelines/episeek_pipelines", "src/episeek", "schemas/episeek_schemas")
DEPTH: Final = 2
_TREE: Final = re.compile(r"(?<=<!-- tree -->\n```text\n).*?(?=```\n<!-- /tree -->)", re.DOTALL)


def tree() -> str:
    """Return the folders of all packages to `DEPTH` levels, each with the first sentence of its docstring."""
    rows = [row for package in PACKAGES for row in _rows(ROOT / package, 0)]
    width = max(len(name) for name, _ in rows) + 2
    return "".join(f"{name.ljust(width)}{sentence}".rstrip() + "\n" for name, sentence in rows)


def _rows(folder: Path, depth: int) -> Iterator[tuple[str, str]]:
    name = folder.relative_to(ROOT).as_posix() if depth == 0 else folder.name
    yield f"{'  ' * depth}{name}/", _sentence(folder / "__init__.py")
    if depth == DEPTH:
        return
    for child in sorted(folder.iterdir()):
        if (child / "__init__.py").exists():
            yield from _rows(child, depth + 1)


def _sentence(module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return docstring.split("\n\n")[0].replace("\n", " ")


def document() -> str:
    """Return docs/development.md with the tree as it is now."""
    return _TREE.sub(lambda _: tree(), DOCUMENT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
