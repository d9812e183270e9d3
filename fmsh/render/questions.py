"""A question of a job as a person sees it."""

from __future__ import annotations

from fmsh.builtins.display import element_text
from fmsh.render.cells import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.values import Value


def prompt_of(question: Mapping[str, Value]) -> str:
    """Gives a question as it stands before the cursor: with its choices, and the default in the brackets."""
    choices = question.get("choices")
    hint = ""
    if isinstance(choices, list):
        hint = f" ({' / '.join(map(element_text, choices))})"
    elif question.get("type") == "bool":
        hint = " (y / n)"
    elif question.get("type") is not None:
        hint = f" ({question['type']})"
    default = f" [{element_text(question['default'])}]" if "default" in question else ""
    return visible(f"{question['question']}{hint}{default}") + " "
