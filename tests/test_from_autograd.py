"""docs/from_autograd.md: twenty programs, which `test_docs.py` runs, and an answer to every name."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "from_autograd.md").read_text()
NAMES = """
    checkpoint deriv elementwise_grad grad grad_and_aux grad_named hessian hessian_tensor_product
    hessian_vector_product holomorphic_grad jacobian make_ggnvp make_hvp make_jvp make_vjp multigrad_dict primitive
    tensor_jacobian_product value_and_grad vector_jacobian_product
    defvjp defjvp notrace_primitive check_grads flatten
    builtins numpy scipy misc"""


def test_there_are_twenty_programs_and_each_shows_a_result():
    programs = re.split(r"\n\d+\\\. ", PAGE)[1:]
    assert len(programs) == 20
    for program in programs:
        code = re.search(r"```python\n(.*?)```", program, re.DOTALL).group(1)
        assert re.search(r"^(?!>>>|\.\.\.)\S", code, re.MULTILINE), program
        assert "autograd" not in code


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_has_an_answer(name):
    where = {
        "numpy": "anp",
        "builtins": "autograd.builtins",
        "scipy": "autograd.scipy",
        "misc": "misc.optimizers",
    }
    assert re.search(rf"\b{where.get(name, name)}\b", PAGE)


@pytest.mark.oracle
def test_no_public_name_is_forgotten():
    autograd = pytest.importorskip("autograd")
    public = {name for name, f in vars(autograd).items() if callable(f) and not name.startswith("_")}
    assert public - {"dict", "list", "tuple", "isinstance", "type"} <= set(NAMES.split())
