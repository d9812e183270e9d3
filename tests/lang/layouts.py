"""Programs and their layouts, for people to judge: `layouts.txt`.

`===` and a title begin a case; the program follows as somebody may have typed it, and after `---` its layout.
`python -m tests.lang.layouts` writes the layouts anew; read the difference before you keep it.
"""

from __future__ import annotations

from pathlib import Path

from fmsh.lang.formatter import format_program
from fmsh.spans import Source

FILE = Path(__file__).parent / "layouts.txt"


def read() -> list[tuple[str, str, str]]:
    """Gives (title, program, layout) of every case."""
    cases = []
    for text in ("\n" + FILE.read_text(encoding="utf-8")).split("\n=== ")[1:]:
        title, _, rest = text.partition("\n")
        program, _, layout = rest.rstrip("\n").partition("\n---\n")
        cases.append((title, program + "\n", layout.rstrip("\n") + "\n"))
    return cases


def main() -> None:
    text = ""
    for title, program, _ in read():
        text += f"=== {title}\n{program}---\n{format_program(Source(title, program))}\n"
    FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
