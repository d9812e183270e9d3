"""The timeline of a job as one page of HTML that needs nothing else: no script, no address, its style in itself.

Every text of it comes from programs and services, so every text is escaped, and the page forbids what it does not use.
"""

from __future__ import annotations

from html import escape

from fmsh.render.cells import visible
from fmsh.render.jobs import title
from fmsh.render.times import span_text
from fmsh.render.traces import NAMES, ORDER, place_text, time_spent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.render.jobs import Document
    from fmsh.render.traces import Bar, Row, Trace

STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --dim: #59636e; --line: #d1d9e0; --back: #ffffff;
  --work: #1a7f37; --wait: #54aeff; --held: #bf8700; --failed: #cf222e; --pause: #afb8c1; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --dim: #9198a1; --line: #3d444d; --back: #0d1117;
  --work: #3fb950; --wait: #1f6feb; --held: #d29922; --failed: #f85149; --pause: #545d68; } }
body { font: 14px/1.45 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; } p { margin: .25rem 0; color: var(--dim); }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; table-layout: auto; }
th { text-align: left; font-weight: 600; color: var(--dim); }
td, th { padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
code { font: 12.5px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.error { color: var(--failed); white-space: pre-wrap; }
.source { color: var(--dim); display: block; } .number { text-align: right; white-space: nowrap; }
.lane { position: relative; min-width: 22rem; width: 45%; height: 1.2rem; }
.bar { position: absolute; top: .35rem; height: .8rem; min-width: 2px; border-radius: 2px; }
.work { background: var(--work); } .wait { background: var(--wait); } .held { background: var(--held); }
.failed { background: var(--failed); } .pause { background: var(--pause); }
.mark { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin: 0 .3rem -.1rem 1rem; }
.holder { position: absolute; top: 0; font-size: 12px; color: var(--dim); border-left: 1px solid var(--line);
  padding-left: .25rem; white-space: nowrap; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(trace: Trace) -> str:
    """Writes the page of a trace."""
    job = trace.job
    heading = f"job {job['id']}: {title(job)}"
    spent = sorted(time_spent(trace).items(), key=lambda item: -item[1])
    total = max(1, trace.end_ms - trace.start_ms)
    times = ", ".join(f"{span_text(ms)} {NAMES[kind]} ({round(100 * ms / total)}%)" for kind, ms in spent if ms > 0)
    marks = "".join(f'<span class="mark {kind}"></span>{escape(NAMES[kind])}' for kind in ORDER)
    rows = "".join(_row(row, trace) for row in trace.rows)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(heading)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(heading)}</h1>\n{_facts(job)}"
        f"<p>{span_text(total)} in all: {escape(times)}</p>\n<p>{marks}</p>\n"
        "<table>\n<tr><th>Step</th><th>Where</th><th>What</th><th>When</th><th>Time</th><th>Outcome</th></tr>\n"
        f"{_holders(trace)}{rows}</table>\n</body>\n</html>\n"
    )


def _facts(job: Document) -> str:
    ended = f", ended {job['ended_at']}" if job["ended_at"] is not None else ""
    lines = [f"{job['state']}, begun {job['created_at']}{ended}"]
    lines += [", ".join(f"{name}={value}" for name, value in job["tags"].items())] * bool(job["tags"])
    text = "".join(f"<p>{escape(visible(line))}</p>\n" for line in lines)
    if job["error"] is not None:
        text += f'<p class="error">{escape(visible(job["error"].message, keep=chr(10)))}</p>\n'
    return text


def _holders(trace: Trace) -> str:
    marks = ""
    for at_ms, kind, reason in trace.holders:
        name = f"{kind or 'not known'}" + ("" if reason == "started" else f" ({reason})")
        marks += f'<span class="holder" style="left:{_share(at_ms, trace):.3f}%">{escape(visible(name))}</span>'
    return f'<tr><td></td><td></td><td>run by</td><td><div class="lane">{marks}</div></td><td></td><td></td></tr>\n'


def _row(row: Row, trace: Trace) -> str:
    branch = row.task.removeprefix("0").removeprefix(".")
    number = ("" if row.step is None else str(row.step)) + (f" · branch {branch}" if branch else "")
    source = f'<code class="source">{escape(visible(row.source))}</code>' if row.source else ""
    tries = f"{row.attempts} tries, " if row.attempts > 1 else ""
    timings = f" ({row.timings})" if row.timings else ""
    bars = "".join(_bar(bar, trace) for bar in row.bars)
    return (
        f"<tr><td>{escape(visible(number))}</td><td><code>{escape(place_text(row.where))}</code></td>"
        f"<td><code>{escape(visible(row.label))}</code>{source}</td>"
        f'<td><div class="lane">{bars}</div></td><td class="number">{span_text(row.took_ms)}</td>'
        f"<td>{escape(tries + visible(row.outcome) + timings)}</td></tr>\n"
    )


def _bar(bar: Bar, trace: Trace) -> str:
    left = _share(bar.start_ms, trace)
    size = max(0.0, _share(bar.end_ms, trace) - left)
    title = f"{span_text(bar.end_ms - bar.start_ms)} {NAMES[bar.kind]}" + (f": {bar.title}" if bar.title else "")
    style = f"left:{min(left, 99.8):.3f}%;width:{size:.3f}%"
    return f'<div class="bar {bar.kind}" style="{style}" title="{escape(visible(title))}"></div>'


def _share(at_ms: int, trace: Trace) -> float:
    share = (at_ms - trace.start_ms) / max(1, trace.end_ms - trace.start_ms)
    return 100 * min(max(share, 0.0), 1.0)
