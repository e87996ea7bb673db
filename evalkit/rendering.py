"""The one door to Jinja2: prompts from suites, sandboxed and unescaped, and HTML for reports, always escaped.

A prompt template is data somebody checked in, so it may not reach Python objects, other files or randomness,
and what it renders must be the same on every machine.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import (
    Environment,
    PackageLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    filters,
    meta,
    nodes,
    pass_eval_context,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from evalkit.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jinja2.nodes import EvalContext
    from jinja2.runtime import Context

__all__ = ["MAX_PROMPT_CHARACTERS", "html_environment", "render_prompt", "template_variables"]

MAX_PROMPT_CHARACTERS = 4_000_000
"""The longest text one template may render."""

_MAX_REPEATED = 1_000_000
_MAX_POWER_BITS = 4096
_MAX_WIDTH = 10_000
_MAX_STEPS = 100_000
"""Turns of loops and calls of macros in one rendering: a hundred times what a prompt needs."""
_MAX_LEVELS = 64
"""Of a template's tree; each filter in a row is one. Compiling it takes time with the third power of them."""
_STEP = "evalkit_step"
_CONCATENATE = "evalkit_concatenate"
_PADDING = frozenset({"center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill"})
_WIDTH = re.compile(r"(?:%[-+ #0]*|:[^{}]{0,4}?|\.)([0-9]{1,9})")
_TAKES_WIDTHS = re.compile(r"%[^A-Za-z%]*\*|:[^{}]*\{")
"""`%*d` and `{:{}}` take a width from their arguments."""
_TOO_DEEP = "nested too deeply"
_OTHER_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_TEMPLATE_FAULTS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class _PromptEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with everything bounded that makes a short template eat all memory."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    # Jinja2 calls this with four positional arguments, so the signature is not ours to change.
    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: PLR0917
        """Refuse a huge repetition or power, else compute as Jinja2 does."""
        if operator == "**" and _power_bits(left, right) > _MAX_POWER_BITS:
            raise ValueError(f"a power of more than {_MAX_POWER_BITS} bits")
        if operator == "*" and _repeated_length(left, right) > _MAX_REPEATED:
            raise ValueError(f"a repetition longer than {_MAX_REPEATED:,}")
        if operator == "+" and isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
            _check_length(len(left) + len(right))
        if operator == "%" and isinstance(left, str):
            _check_widths(left, right if isinstance(right, tuple) else (right,))
        return super().call_binop(context, operator, left, right)

    # Jinja2 names these so that a call's own keywords cannot collide with them.
    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063
        """Call as Jinja2 does, unless it is a method of text that makes much out of little."""
        method = getattr(__obj, "__wrapped__", __obj)
        text = getattr(method, "__self__", None)
        if isinstance(text, str):
            _check_method(text, method.__name__, args=(*args, *kwargs.values()))
        return super().call(__context, __obj, *args, **kwargs)


def _check_method(text: str, name: str, *, args: tuple[Any, ...]) -> None:
    if name in _PADDING:
        _check_widths(text if name.startswith("format") else "", args)
    elif name == "join" and args:
        parts = args[0] if isinstance(args[0], (list, tuple)) else ()
        _check_length(len(text) * len(parts) + sum(len(part) for part in parts if isinstance(part, str)))
    elif name == "replace" and len(args) >= 2 and isinstance(args[1], str):  # noqa: PLR2004  what, and by what
        _check_length(len(text) + text.count(str(args[0])) * len(args[1]))


def _check_widths(pattern: str, args: tuple[Any, ...]) -> None:
    """Refuse widths that turn a few letters into millions, in a pattern or as an argument that may be one."""
    widths = [int(digits) for digits in _WIDTH.findall(pattern)]
    if not pattern or _TAKES_WIDTHS.search(pattern):
        widths += [abs(arg) for arg in args if isinstance(arg, int)]
    if any(width > _MAX_WIDTH for width in widths):
        raise ValueError(f"a width of more than {_MAX_WIDTH:,}")


def _check_length(length: int) -> None:
    if length > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"a value longer than {MAX_PROMPT_CHARACTERS:,}")


def _power_bits(left: Any, right: Any) -> int:
    return left.bit_length() * right if isinstance(left, int) and isinstance(right, int) else 0


def _repeated_length(left: Any, right: Any) -> int:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, (str, list, tuple)) and isinstance(times, int):
            return len(sequence) * times
    return 0


def _plain_json(value: Any, indent: int | None = None) -> str:
    """Return JSON text as a model should see it; Jinja2's own filter escapes it for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _concatenated(*parts: Any) -> str:
    texts = [str(part) for part in parts]
    _check_length(sum(map(len, texts)))
    return "".join(texts)


def _centred(value: Any, width: int = 80) -> str:
    _check_widths("", (width,))
    return filters.do_center(str(value), width)


def _indented(value: Any, width: int | str = 4, *where: bool, **named: bool) -> str:
    wide = width if isinstance(width, int) else len(width)
    _check_length(wide * (1 + str(value).count("\n")))
    return filters.do_indent(str(value), width, *where, **named)


def _formatted(value: Any, *args: Any, **kwargs: Any) -> str:
    _check_widths(str(value), (*args, *kwargs.values()))
    return filters.do_format(str(value), *args, **kwargs)


def _replaced(value: Any, old: str, new: str, *count: int) -> str:
    text = str(value)
    _check_method(text, "replace", args=(old, new))
    return text.replace(old, new, *count)


@pass_eval_context
def _joined(eval_ctx: EvalContext, value: Any, *how: Any, **named: Any) -> str:
    parts = list(value)
    _check_method(str(how[0] if how else named.get("d", "")), "join", args=(parts,))
    return str(filters.do_join(eval_ctx, parts, *how, **named))


def _prompt_environment() -> _PromptEnvironment:
    # Prompts are plain text for a model; escaping for HTML would change what it is asked.
    environment = _PromptEnvironment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"tojson": _plain_json, "center": _centred, "indent": _indented, "format": _formatted}
    environment.filters |= {"join": _joined, "replace": _replaced}
    environment.globals[_CONCATENATE] = _concatenated
    # The same case must give the same prompt on every machine.
    del environment.filters["random"], environment.globals["lipsum"]
    return environment


_PROMPTS = _prompt_environment()


def render_prompt(template: str, variables: Mapping[str, Any], *, place: Place) -> str:
    """Return the template with the variables filled in; nothing is escaped and final newlines stay.

    Raises:
        InputError: at `place`, for a variable that is not given, a template that cannot be parsed, one that names
            other files or reaches into Python, a loop over more than 100,000 numbers or so many turns in all, or an
            output or a value on the way to it that is too long.
    """
    compiled = _compiled(template, place)
    try:
        return "".join(_bounded(compiled.generate({**variables, _STEP: _counted_steps()}), place=place))
    except _TEMPLATE_FAULTS as error:
        known = ", ".join(sorted(variables)) or "none"
        raise InputError(
            f"the template cannot be rendered: {error}", place=place, next_step=f"variables given: {known}"
        ) from error


def _counted_steps() -> Callable[[], str]:
    """Return what every turn of a loop calls: output alone does not bound a loop that says nothing."""
    steps = iter(range(_MAX_STEPS))

    def step() -> str:
        if next(steps, None) is None:
            raise ValueError(f"more than {_MAX_STEPS:,} turns of loops")
        return ""

    return step


class _Metered(NodeTransformer):
    """Makes loops and macros count their turns, and `~` look at the length of what it makes."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  Jinja2 finds it by this name
        """Count a turn of a loop."""
        return self._stepping(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802  as above
        """Count a call of a macro."""
        return self._stepping(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  as above
        """Look before joining."""
        self.generic_visit(node)
        return _call(_CONCATENATE, node.nodes, line=node.lineno)

    def _stepping(self, node: nodes.For | nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.Output([_call(_STEP, [], line=node.lineno)], lineno=node.lineno))
        return node


def _call(name: str, args: list[nodes.Expr], *, line: int) -> nodes.Call:
    return nodes.Call(nodes.Name(name, "load", lineno=line), args, [], None, None, lineno=line)


def _bounded(chunks: Iterator[str], *, place: Place) -> Iterator[str]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > MAX_PROMPT_CHARACTERS:
            raise InputError(
                f"the template renders more than {MAX_PROMPT_CHARACTERS:,} characters",
                place=place,
                next_step="shorten the variables, or the loop that repeats them",
            )
        yield chunk


def template_variables(template: str, *, place: Place | None = None) -> frozenset[str]:
    """Return the names a template may look up; one used only under `is defined` is among them.

    Raises:
        InputError: when the template cannot be parsed, or names other files.
    """
    return _parsed(template, place)[1]


def html_environment(package: str, folder: str) -> Environment:
    """Return the environment that renders `folder` of an installed package: every value is escaped."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _compiled(template: str, place: Place | None) -> Template:
    try:
        return _cached_template(template)
    except TemplateError as error:
        raise _unparsable(error, place) from error


def _parsed(template: str, place: Place | None) -> tuple[nodes.Template, frozenset[str]]:
    try:
        return _cached_tree(template)
    except TemplateError as error:
        raise _unparsable(error, place) from error


# Errors are not cached, so the place in a message is always the caller's own.
@lru_cache(maxsize=1024)
def _cached_template(template: str) -> Template:
    tree = _cached_tree(template)[0]
    try:
        return _PROMPTS.from_string(tree)
    # Jinja2 compiles to Python, which allows fewer loops in loops and branches than Jinja2 itself.
    except (SyntaxError, MemoryError, RecursionError):
        raise TemplateSyntaxError(_TOO_DEEP, 1) from None


@lru_cache(maxsize=1024)
def _cached_tree(template: str) -> tuple[nodes.Template, frozenset[str]]:
    try:
        tree = _PROMPTS.parse(template)
    except RecursionError:
        raise TemplateSyntaxError(_TOO_DEEP, 1) from None
    _check_depth(tree)
    other = next(tree.find_all(_OTHER_FILES), None)
    if other is not None:
        raise TemplateSyntaxError("include, import and extends are not allowed in a prompt", other.lineno)
    names = frozenset(meta.find_undeclared_variables(tree)) - set(_PROMPTS.globals)
    return _Metered().visit(tree), names


def _check_depth(tree: nodes.Template) -> None:
    """Refuse what is nested so deep that all that walk it would take seconds, or the interpreter's whole stack."""
    level: list[nodes.Node] = [tree]
    for _ in range(_MAX_LEVELS):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return
    raise TemplateSyntaxError(_TOO_DEEP, level[0].lineno)


def _unparsable(error: TemplateError, place: Place | None) -> InputError:
    line = f" (line {error.lineno} of the template)" if isinstance(error, TemplateSyntaxError) else ""
    return InputError(
        f"the template cannot be parsed: {error.message}{line}",
        place=place,
        next_step="write {{ name }} for a variable; put literal braces between {% raw %} and {% endraw %}",
    )
