"""Parser of recipes such as `bf16 + sdpa + compile(mode="max-autotune")`.

A recipe is a Python expression. Python's parser reads it, and it is never evaluated.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import fields

import msgspec

from pytest_diffopt.arguments import TEXT, require, shown
from pytest_diffopt.errors import RecipeError, did_you_mean
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.recipes.registry import registered_optimizations


def parse_recipe(text: str) -> Recipe:
    """Parse a recipe.

    Args:
        text: optimizations joined by `+`; each is a name, or a call with literal keywords.

    Raises:
        RecipeError: the text cannot be parsed, contains an unknown name, or breaks a rule of recipes.
    """
    require(TEXT, text, "a recipe", error=RecipeError)
    try:
        expression = ast.parse(text.strip(), mode="eval").body
        return Recipe(optimizations=tuple(_optimization(term, text) for term in _terms(expression)))
    except SyntaxError as error:
        problem = error.msg
    except ValueError:
        problem = "it contains a character that is not allowed in Python source"
    except (MemoryError, RecursionError):
        problem = "it is nested too deeply"
    msg = f"a recipe must look like `bf16 + sdpa + compile`, got: {shown(text)} ({problem})"
    raise RecipeError(msg)


def _terms(expression: ast.expr) -> Iterator[ast.expr]:
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add):
        yield from _terms(expression.left)
        yield from _terms(expression.right)
    else:
        yield expression


def _optimization(term: ast.expr, text: str) -> Optimization:
    if isinstance(term, ast.Name):
        return _build(term.id, {})
    if isinstance(term, ast.Call) and isinstance(term.func, ast.Name) and not term.args:
        return _build(term.func.id, _keywords(term.keywords, text))
    msg = f"each part of a recipe must be a name or name(keyword=value), got: {ast.unparse(term)!r} in {text!r}"
    raise RecipeError(msg)


def _keywords(given: list[ast.keyword], text: str) -> dict[str, object]:
    keywords = [_keyword(keyword, text) for keyword in given]
    names = [name for name, _ in keywords]
    for name in names:
        if names.count(name) > 1:  # Python rejects this when it compiles, not when it parses
            msg = f"a keyword can be given once, got {name} {names.count(name)} times in {text!r}"
            raise RecipeError(msg)
    return dict(keywords)


def _keyword(keyword: ast.keyword, text: str) -> tuple[str, object]:
    try:
        return keyword.arg or "**", ast.literal_eval(keyword.value)
    except (ValueError, TypeError) as error:
        msg = f"a keyword's value must be a literal, got: {ast.unparse(keyword)!r} in {text!r}"
        raise RecipeError(msg) from error


def _build(name: str, keywords: dict[str, object]) -> Optimization:
    kinds = registered_optimizations()
    kind = kinds.get(name)
    if kind is None:
        msg = f"unknown optimization: {name!r}{did_you_mean(name, kinds)}; known: {', '.join(kinds)}"
        raise RecipeError(msg)
    _refuse_unknown_keywords(name, keywords, {field.name for field in fields(kind)})
    try:
        return msgspec.convert(keywords, kind, strict=True)
    except msgspec.ValidationError as error:
        msg = f"invalid value for {name}: {error}"
        raise RecipeError(msg) from error


def _refuse_unknown_keywords(name: str, keywords: Iterable[str], known: set[str]) -> None:
    for keyword in keywords:
        if keyword not in known:
            takes = f"it takes: {', '.join(sorted(known))}" if known else "it takes none"
            msg = f"unknown keyword of {name}: {keyword!r}{did_you_mean(keyword, known)}; {takes}"
            raise RecipeError(msg)
