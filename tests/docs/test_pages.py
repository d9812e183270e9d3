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
IDIOMS_MIN = 40


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.mark.parametrize("page", PAGES, ids=[page.path.name for page in PAGES])
def test_each_program_shows_what_the_page_says(page: Page, service: Service) -> None:
    for example in page.examples:
        if "show-only" in example.options:
            errors = [
                problem.message
                for problem in check(Source("t", example.program)).problems
                if problem.severity == "error"
            ]
            assert not errors, f"{page.path.name}:{example.line}: {errors}"
        elif example.language == "fmsh" or shutil.which("bash"):
            assert run(example, service) == (example.shown, example.status), f"{page.path.name}:{example.line}"


@pytest.mark.parametrize("page", PAGES, ids=[page.path.name for page in PAGES])
def test_each_program_stands_in_its_layout(page: Page) -> None:
    for example in page.examples:
        if example.language == "fmsh":
            assert laid_out(example.program) == example.program, f"{page.path.name}:{example.line}"


def test_the_page_for_users_of_bash_has_its_idioms_and_says_where_they_differ() -> None:
    page = next(page for page in PAGES if page.path.name == "from-bash.md")
    examples = page.examples
    pairs = [(a, b) for a, b in zip(examples[::2], examples[1::2], strict=True)]
    assert len(pairs) >= IDIOMS_MIN
    for bash, fmsh in pairs:
        assert (bash.language, fmsh.language) == ("bash", "fmsh"), fmsh.line
        is_same = bash.shown == fmsh.shown and bash.status == fmsh.status
        assert is_same or "differs" in fmsh.options, f"line {fmsh.line}: what they show is not the same"
