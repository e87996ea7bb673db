"""Rendering: prompts say exactly what was written, templates reach nothing, reports escape everything."""

from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError, Place
from evalkit.rendering import MAX_PROMPT_CHARACTERS, html_environment, render_prompt, template_variables

PLACE = Place(file="suite.yaml", line=7, pointer="/request/prompt")


def rendered(template: str, **variables: object) -> str:
    """Render a template at the usual place."""
    return render_prompt(template, variables, place=PLACE)


@given(st.text())
def test_a_value_reaches_the_model_unchanged(text):
    """Nothing is escaped, trimmed or normalised on the way."""
    assert rendered("<{{ value }}>", value=text) == f"<{text}>"


@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
def test_final_newlines_stay(ending):
    """A trailing newline changes what some models answer, so it is never added or dropped."""
    assert rendered(f"Say it.{ending}") == f"Say it.{ending}"


def test_a_value_is_not_a_template():
    """What a variable holds is text, even when it looks like a template."""
    assert rendered("{{ value }}", value="{{ 7 * 7 }}") == "{{ 7 * 7 }}"


def test_json_in_a_prompt_is_plain_json():
    """The JSON filter does not escape for HTML, unlike Jinja2's own."""
    assert rendered("{{ value | tojson }}", value={"a": "<é&'"}) == '{"a": "<é&\'"}'


def test_json_in_a_prompt_may_be_indented():
    """The filter takes the indent as Jinja2's does."""
    assert rendered("{{ value | tojson(2) }}", value=[1]) == "[\n  1\n]"


def test_a_missing_variable_is_named_with_its_place():
    """The error says where, which name, and what there is."""
    with pytest.raises(InputError) as caught:
        rendered("{{ documnt }}", document="x")
    assert caught.value.place == PLACE
    assert "'documnt' is undefined" in str(caught.value)
    assert "document" in caught.value.next_step


@pytest.mark.parametrize(
    "template",
    [
        "{% include 'secret.txt' %}",
        "{% import 'macros' as m %}",
        "{% from 'macros' import m %}",
        "{% extends 'frame' %}",
        "{{ value.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ items.append(1) }}",
        "{% for i in range(10000000) %}x{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ 1000000000 * items }}",
        "{{ 9 ** 999999999 }}",
        "{% for i in range(90000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
        "{% set x = 'a' * 999999 %}{% set y = x ~ x ~ x ~ x ~ x %}{{ y | length }}",
        "{% set x = 'a' * 999999 %}{% set y = x + x + x + x + x %}{{ y | length }}",
        "{{ 'a' | center(900000000) }}",
        "{{ 'a' | indent(900000000, true) }}",
        "{{ '%900000000d' | format(1) }}",
        "{{ '%*d' | format(900000000, 1) }}",
        "{{ '%900000000d' % 1 }}",
        "{{ '%*d' % (900000000, 1) }}",
        "{{ '{:900000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 900000000) }}",
        "{{ 'a'.ljust(900000000) }}",
        "{{ 'a'.zfill(900000000) | length }}",
        "{{ ('a' * 99999).replace('a', 'b' * 9999) }}",
        "{{ ('a' * 99999) | replace('a', 'b' * 9999) }}",
        "{{ range(99999) | join('a' * 99999) }}",
        "{{ ('a' * 99999).join(['b'] * 99999) }}",
        "{{ 1 / 0 }}",
        "{{ value.nothing }}",
        "{{ value | nosuch }}",
        "{{ value | random }}",
        "{{ lipsum() }}",
        "{{ value",
        "{% if %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    ],
)
def test_a_template_that_does_harm_is_refused(template):
    """Whatever is wrong with a template is the user's to mend, never a crash or a hang."""
    with pytest.raises(InputError) as caught:
        rendered(template, value="v", items=[1])
    assert caught.value.place == PLACE


def test_the_sandbox_still_computes():
    """Small products and powers are allowed."""
    assert rendered("{{ 3 * 4 }} {{ 2 ** 10 }} {{ 'ab' * 2 }}") == "12 1024 abab"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '%05.2f' % 3.14159 }}{{ '%d' % 1234567 }}", "03.141234567"),
        ("{{ '%s-%s' | format(1, 99999999) }}", "1-99999999"),
        ("{{ '{} {:>4}'.format(12345678, 1) }}", "12345678    1"),
        ("{{ 'a' | center(3) }}|{{ 'b'.zfill(3) }}", " a |00b"),
        ("{{ [1, 2] | join(', ') }}{{ 'aa' | replace('a', 'b') }}{{ 'x\ny' | indent(2) }}", "1, 2bbx\n  y"),
        ("{{ 1 ~ 'a' ~ 2.5 ~ none }}", "1a2.5None"),
        ("{% for i in range(3) %}{% if i == 1 %}{% else %}{{ loop.index }}{% endif %}{% endfor %}", "13"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m(2) }}", "<1><2>"),
        ("{{ [{'a': 1}, {'a': 2}] | join('+', attribute='a') }}", "1+2"),
    ],
)
def test_what_is_bounded_still_works(template, text):
    """Formatting, padding, joining and loops of an ordinary size come out as Jinja2 makes them."""
    assert rendered(template) == text


def test_the_longest_prompt_is_allowed():
    """The limit is on characters rendered, and includes the limit itself."""
    assert len(rendered("{{ value }}", value="x" * MAX_PROMPT_CHARACTERS)) == MAX_PROMPT_CHARACTERS


@pytest.mark.parametrize("times", [250, 6000])
@pytest.mark.parametrize(
    ("opening", "inner", "closing"),
    [
        ("- ", "x", ""), ("(", "x", ""), ("x + ", "x", ""), ("x if x else ", "x", ""), ("", "x", "|upper"),
        ("", "x", ".a"), ("[", "x", "]"), ("{% set x %}", "", "{% endset %}"), ("{% for y in x %}", "", "{% endfor %}"),
    ],
)  # fmt: skip
def test_a_template_that_is_nested_too_deep_is_refused(opening, inner, closing, times):
    """It is refused before anything that takes cubic time, or a stack frame a level, walks it."""
    text = opening * times + inner + closing * times
    with pytest.raises(InputError, match=r"nested too deeply|cannot be parsed"):
        rendered(f"{{{{ {text} }}}}" if inner else text, x=1)


@pytest.mark.parametrize("template", ["{% for y in x %}" * 30 + "{% endfor %}" * 30,
                                      "{% if x %}" + "{% elif x %}" * 6000 + "{% endif %}"])  # fmt: skip
def test_what_python_cannot_compile_is_refused(template):
    """Jinja2 writes Python, where loops stand in at most twenty others."""
    with pytest.raises(InputError, match="nested too deeply"):
        rendered(template, x=[])


def test_a_chain_that_people_write_is_not_too_deep():
    """Twenty filters, and many choices side by side."""
    assert rendered("{{ value" + "|upper" * 20 + " }}", value="x") == "X"
    assert (
        rendered("{% if value == 0 %}{% elif value == 1 %}" + "{% elif value == 2 %}y" * 90 + "{% endif %}", value=2)
        == "y"
    )


@given(st.text(max_size=60))
def test_any_template_renders_or_is_refused(template):
    """No text makes anything but an InputError."""
    place = None
    try:
        render_prompt(template, {}, place=PLACE)
    except InputError as error:
        place = error.place
    assert place in {None, PLACE}


def test_a_repeated_mistake_is_told_at_its_own_place():
    """Templates are cached; places are not."""
    elsewhere = Place(file="other.yaml")
    for place in (PLACE, elsewhere):
        with pytest.raises(InputError) as caught:
            render_prompt("{{ broken", {}, place=place)
        assert caught.value.place == place


def test_template_variables_are_what_must_be_given():
    """Loop names and the functions every template has are not variables."""
    template = "{{ a.b }}{% for x in items %}{{ x }}{{ range(2) }}{% endfor %}{% set y = 1 %}{{ y }}"
    assert template_variables(template) == {"a", "items"}


def test_template_variables_of_a_broken_template_are_an_error():
    """The place given is the place told."""
    with pytest.raises(InputError) as caught:
        template_variables("{{", place=PLACE)
    assert caught.value.place == PLACE


def test_rendering_is_fast():
    """A template is compiled once: 20,000 renders take about 0.2 s, and compiling each would take 10 s."""
    started = perf_counter()
    for number in range(20_000):
        rendered("Extract {{ document }} as {{ form }}.", document=str(number), form="JSON")
    assert perf_counter() - started < 2.0


@pytest.fixture
def templates(tmp_path, monkeypatch):
    """An installed package with one HTML template."""
    package = tmp_path / "shop_pages"
    (package / "pages").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "pages" / "answer.html").write_text(
        "<ul>\n  {% for a in answers %}\n  <li>{{ a }}</li>\n  {% endfor %}\n</ul>"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return html_environment("shop_pages", "pages")


def test_html_escapes_every_value(templates):
    """Model text cannot become markup, and block lines leave no blank lines behind."""
    page = templates.get_template("answer.html").render(answers=["<script>alert(1)</script>", "a & b"])
    assert page == "<ul>\n  <li>&lt;script&gt;alert(1)&lt;/script&gt;</li>\n  <li>a &amp; b</li>\n</ul>"


def test_html_refuses_a_missing_value(templates):
    """A report never shows an empty space where a number should be."""
    with pytest.raises(Exception, match="'answers' is undefined"):
        templates.get_template("answer.html").render()
