"""The documentation tells the truth: each program shows what the page says, and stands in the layout of `fmt`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from fmsh.assembly import check
from fmsh.spans import Source
from tests.docs.pages import Page, laid_out, pages, run
from tests.docs.service import Service

PAGES = pages()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.mark.parametrize("page", PAGES, ids=[page.path.name for page in PAGES])
def test_each_program_shows_what_the_page_says(page: Page, service: Service) -> None:
    for example in page.examples:
        if "show-only" in example.options:
            errors = [problem.message for problem in check(Source("t", example.program)) if problem.severity == "error"]
            assert not errors, f"{page.path.name}:{example.line}: {errors}"
        elif example.language == "fmsh" or shutil.which("bash"):
            assert run(example, service) == (example.shown, example.status), f"{page.path.name}:{example.line}"


@pytest.mark.parametrize("page", PAGES, ids=[page.path.name for page in PAGES])
def test_each_program_stands_in_its_layout(page: Page) -> None:
    for example in page.examples:
        if example.language == "fmsh":
            assert laid_out(example.program) == example.program, f"{page.path.name}:{example.line}"
