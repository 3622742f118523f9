"""Linear algebra where a table of cases cannot say it: degenerate spectra, free phases, singular matrices."""

import numpy as np
import pytest

import tinygrad_bp as bp

RNG = np.random.default_rng(7)
REAL = RNG.normal(size=(3, 3))
COMPLEX = REAL + 1j * RNG.normal(size=(3, 3))
TURN = np.array([[0.2, -2.0, 0.1], [2.1, 0.3, 0.4], [0.3, -0.1, 1.5]])  # eigenvalues: two complex, one real


def total(f):
    """The sum of what f gives, each part squared, as a real number."""

    def number(a):
        y = f(a)
        return sum(np.sum(np.abs(part) ** 2) for part in (y if isinstance(y, tuple) else (y,)))

    return number


def hermitian(a):
    return a + np.conjugate(a.T)


@pytest.mark.parametrize(
    ("f", "kind"),
    [
        (np.linalg.eigh, "EighResult"),
        (np.linalg.eig, "EigResult"),
        (np.linalg.svd, "SVDResult"),
        (np.linalg.qr, "QRResult"),
        (np.linalg.slogdet, "SlogdetResult"),
    ],
)
def test_named_results_keep_their_names(f, kind):
    y, expected = f(bp.Tensor(REAL, requires_grad=True)), f(REAL)
    assert type(y).__name__ == kind
    assert type(y)._fields == type(expected)._fields
    assert all(part.requires_grad for part in y)


@pytest.mark.parametrize("f", [np.linalg.eigh, np.linalg.svd, np.linalg.eig, np.linalg.qr])
def test_factors_of_a_real_matrix_as_they_come(f):
    """Only signs are free, and LAPACK does not change them between neighbours."""
    assert bp.gradcheck(lambda a: tuple(f(a)), REAL, order=2)


@pytest.mark.parametrize("f", [np.linalg.eig, np.linalg.eigvals])
@pytest.mark.parametrize("a", [TURN, COMPLEX], ids=["real", "complex"])
def test_complex_eigenvectors_as_lapack_scales_them(f, a):
    """Of length 1, the largest element real: no phase is free."""
    assert np.iscomplexobj(f(a)[0])
    assert bp.gradcheck(lambda a: tuple(f(a)) if f is np.linalg.eig else f(a), a, order=2)


@pytest.mark.parametrize("full", [True, False])
def test_the_null_space_counts_as_a_space(full):
    def projectors(a):
        u, s, vh = np.linalg.svd(a, full_matrices=full)
        return u[:, 2:] @ np.conjugate(u[:, 2:].T), u[:, :2] @ np.conjugate(u[:, :2].T), np.abs(vh), s

    for a in (RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2)) + 1j * RNG.normal(size=(5, 2))):
        assert bp.gradcheck(projectors, a, order=2)
        by_hand = bp.grad(
            lambda a: np.real(np.sum(a @ np.linalg.inv(np.conjugate(a.T) @ a) @ np.conjugate(a.T)))
        )
        by_svd = bp.grad(lambda a: np.real(np.sum(projectors(a)[1])))
        np.testing.assert_allclose(by_svd(a), by_hand(a), atol=1e-12)


def test_functions_of_a_hermitian_matrix():
    """V f(Λ) Vᴴ: right through eigh, whatever the phases."""

    def exponential(a):
        w, v = np.linalg.eigh(hermitian(a))
        return (v * np.exp(w)) @ np.conjugate(v.T)

    def series(a):
        power = total = np.eye(3)
        for k in range(1, 60):
            power = power @ hermitian(a) / k
            total = total + power
        return total

    for a in (REAL, COMPLEX):
        u, pullback = bp.vjp(exponential, a)
        g = RNG.normal(size=(3, 3)) + (1j * RNG.normal(size=(3, 3)) if np.iscomplexobj(a) else 0)
        np.testing.assert_allclose(u, series(a))
        np.testing.assert_allclose(pullback(g)[0], bp.vjp(series, a)[1](g)[0], rtol=1e-9)


# ---- degenerate spectra --------------------------------------------------------------------------------

EQUAL = np.diag([2.0, 2.0, 5.0])
ROTATION = np.linalg.qr(REAL)[0]
ALMOST = ROTATION @ EQUAL @ ROTATION.T  # equal up to rounding


@pytest.mark.parametrize("a", [EQUAL, ALMOST, EQUAL.astype(complex)], ids=["equal", "rounded", "complex"])
@pytest.mark.parametrize(
    ("f", "part"), [(np.linalg.eigh, 1), (np.linalg.eig, 1), (np.linalg.svd, 0), (np.linalg.svd, 2)]
)
def test_vectors_of_equal_values_have_no_derivative(f, part, a):
    with pytest.raises(np.linalg.LinAlgError, match=r"repeated.*no derivative; use the values alone"):
        bp.grad(lambda a: np.real(np.sum(f(a)[part])))(a)


def test_singular_vectors_beside_a_null_space():
    a = np.array([[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]])
    with pytest.raises(np.linalg.LinAlgError, match="0 beside a null space"):
        bp.grad(lambda a: np.sum(np.linalg.svd(a, full_matrices=False)[0]))(a)


DEGENERATE = pytest.mark.parametrize("a", [EQUAL, ALMOST, np.eye(3), np.zeros((3, 3))])


@DEGENERATE
@pytest.mark.parametrize("f", [np.linalg.eigvalsh, np.linalg.eigvals, lambda a: np.linalg.eigh(a)[0]])
def test_the_sum_of_equal_eigenvalues_is_the_trace(f, a):
    gradient = bp.grad(lambda a: np.real(np.sum(f(a))))(a)
    np.testing.assert_allclose(gradient + gradient.T, 2 * np.eye(3), atol=1e-12)


@DEGENERATE
@pytest.mark.parametrize(
    "f",
    [
        np.linalg.svdvals,
        lambda a: np.linalg.svd(a)[1],
        lambda a: np.linalg.svd(a, compute_uv=False, hermitian=True),
    ],
)
def test_the_squares_of_equal_singular_values_sum_up_to_that_of_the_norm(f, a):
    gradient = bp.grad(lambda a: np.sum(f(a) ** 2))(a)
    np.testing.assert_allclose(gradient + gradient.T, 4 * a, atol=1e-12)


@pytest.mark.parametrize("i", range(3))
def test_each_eigenvalue_gets_its_own_cotangent(i):
    v = np.linalg.eig(TURN)[1]
    expected = np.real(np.outer(np.linalg.inv(v)[i], v[:, i]))
    gradient = bp.grad(lambda a: np.real(np.linalg.eigvals(a)[i]))(TURN)
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


# ---- singular matrices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [float, complex])
def test_det_has_a_gradient_at_singular_matrices(dtype):
    """The matrix of cofactors."""
    a = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype)
    cofactors = np.array([[-3, 6, -3], [6, -12, 6], [-3, 6, -3]])
    np.testing.assert_allclose(bp.grad(lambda a: np.real(np.linalg.det(a)))(a), cofactors, atol=1e-12)
    both = np.stack([a, a + np.eye(3, dtype=dtype)])
    np.testing.assert_allclose(
        bp.grad(lambda a: np.real(np.sum(np.linalg.det(a))))(both)[0], cofactors, atol=1e-12
    )
    assert not np.any(bp.grad(lambda a: np.real(np.linalg.det(a)))(np.zeros((3, 3), dtype)))
    rank_two = np.diag(np.array([0, 2, 3], dtype))
    np.testing.assert_allclose(
        bp.grad(lambda a: np.real(np.linalg.det(a)))(rank_two), np.diag([6, 0, 0]), atol=1e-12
    )


@pytest.mark.parametrize(
    "f",
    [
        lambda a: np.linalg.slogdet(a)[1],
        bp.grad(np.linalg.det),
        np.linalg.inv,
        lambda a: np.linalg.solve(a, a),
    ],
)
def test_what_a_singular_matrix_has_not(f):
    with pytest.raises(np.linalg.LinAlgError, match="Singular"), np.errstate(divide="ignore"):
        bp.grad(total(f))(np.array([[1.0, 2.0], [2.0, 4.0]]))


def test_of_slogdet_the_sign_alone():
    """A real sign is constant; a complex one turns."""
    assert not np.any(bp.grad(lambda a: np.linalg.slogdet(a).sign)(REAL))
    assert bp.gradcheck(lambda a: np.linalg.slogdet(a).sign, COMPLEX, order=2)


# ---- one triangle, modes, keywords ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "upper"),
    [
        (np.linalg.cholesky, False),
        (lambda a: np.linalg.cholesky(a, upper=True), True),
        (np.linalg.eigvalsh, False),
        (lambda a: np.linalg.eigvalsh(a, "U"), True),
        (lambda a: np.linalg.svd(a, hermitian=True)[1], False),
        (lambda a: np.linalg.pinv(a, hermitian=True), False),
    ],
)
def test_the_triangle_that_is_not_read_has_no_gradient(f, upper):
    gradient = bp.grad(total(f))(np.diag([3.0, 5.0, 7.0]) + 0.3 * REAL)
    unread = np.tril(gradient, -1) if upper else np.triu(gradient, 1)
    assert not np.any(unread)
    assert np.all(gradient[np.tril_indices(3) if not upper else np.triu_indices(3)])


@pytest.mark.parametrize(("mode", "shape"), [("complete", (3, 2)), ("raw", (2, 2))])
def test_factors_that_the_matrix_does_not_determine(mode, shape):
    with pytest.raises(bp.NotDifferentiable, match=f"mode='{mode}'.*use mode='reduced' or 'r'"):
        bp.grad(lambda a: np.sum(np.linalg.qr(a, mode)[1]))(RNG.normal(size=shape))


def test_a_rank_is_constant():
    assert np.linalg.matrix_rank(bp.Tensor(EQUAL, requires_grad=True)) == 3


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 2, 1, np.inf])
def test_norms_at_zero(ord):
    """A subgradient: 0."""
    assert not np.any(bp.grad(lambda a: np.linalg.norm(a, ord))(np.zeros((2, 3))))


@pytest.mark.parametrize("ord", [1, 2, 3, 1.5, 0, np.inf])
def test_vector_norms_at_zero_and_beside_it(ord):
    assert not np.any(bp.grad(lambda x: np.linalg.norm(x, ord))(np.zeros(3)))
    x = np.array([0.0, 3.0, 0.0])
    np.testing.assert_allclose(bp.grad(lambda x: np.linalg.norm(x, ord))(x), [0, ord != 0, 0])


def test_norms_of_huge_and_tiny_vectors():
    for size in (1e-200, 1e200, 5e-324):
        x = size * np.array([0.0, 1.0])
        for ord in (1, 2, 3, np.inf):
            gradient = bp.grad(lambda x, ord=ord, size=size: np.linalg.vector_norm(x / size, ord=ord) * size)(
                x
            )
            np.testing.assert_allclose(gradient, [0, 1])


def test_ties_of_norms_are_shared():
    np.testing.assert_array_equal(
        bp.grad(lambda x: np.linalg.norm(x, np.inf))(np.array([2.0, -2, 1])), [0.5, -0.5, 0]
    )
    np.testing.assert_array_equal(bp.grad(lambda a: np.linalg.norm(a, 1))(np.eye(2)), np.eye(2) / 2)


def test_lstsq_gives_numpys_rank():
    a, b = RNG.normal(size=(4, 2)), RNG.normal(size=4)
    x, residuals, rank, s = np.linalg.lstsq(bp.Tensor(a, requires_grad=True), b, rcond=None)
    assert rank == 2
    assert x.shape == (2,)
    assert residuals.shape == (1,)
    assert s.shape == (2,)
    assert bp.gradcheck(lambda a, b: np.linalg.lstsq(a, b)[0], a, b, order=2)
    assert bp.gradcheck(lambda a, b: np.linalg.lstsq(a, b)[1], a, b, order=2)
    assert bp.gradcheck(lambda a: np.linalg.lstsq(a, b)[3], a, order=2)


def test_no_gradient_where_the_rank_is_cut():
    """pinv and lstsq leave out small singular values, and so do their derivatives."""
    a = np.diag([2.0, 1e-9])
    np.testing.assert_allclose(
        bp.grad(lambda a: np.linalg.pinv(a, 1e-6)[0, 0])(a), [[-0.25, 0], [0, 0]], atol=1e-8
    )
    np.testing.assert_allclose(
        bp.grad(lambda b: np.linalg.lstsq(a, b, 1e-6)[0][0])(np.array([1.0, 1.0])), [0.5, 0], atol=1e-12
    )


# ---- einsum --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling", ["ij,jk->ik", "ij,jk", " ij , jk -> ik ", "...j,jk->...k", "Ab,bz->Az", "zA,Aq"]
)
@pytest.mark.parametrize("optimize", [False, True, "optimal"])
def test_einsum_says_matmul(spelling, optimize):
    a, b = RNG.normal(size=(2, 3)), RNG.normal(size=(3, 4))
    y, pullback = bp.vjp(lambda a, b: np.einsum(spelling, a, b, optimize=optimize), a, b)
    g = RNG.normal(size=y.shape)
    of_a, of_b = pullback(g)
    g = g if y.shape == (2, 4) and np.allclose(y, a @ b) else g.T
    np.testing.assert_allclose(of_a, g @ b.T)
    np.testing.assert_allclose(of_b, a.T @ g)


def test_einsum_into_out():
    a = bp.Tensor(REAL, requires_grad=True)
    out = bp.Tensor(np.zeros(3))
    np.einsum("ii->i", a, out=out)
    np.sum(out * out).backward()
    np.testing.assert_allclose(a.grad, np.diag(2 * np.diag(REAL)))


def test_einsum_of_one_tensor_twice():
    x = bp.Tensor(REAL, requires_grad=True)
    np.einsum("ij,ji->", x, x).backward()
    np.testing.assert_allclose(x.grad, 2 * REAL.T)


@pytest.mark.parametrize(
    "shapes", [((2,), (2,)), ((3, 2), (2,)), ((2, 3, 2), (3, 3)), ((3,), (4, 2))], ids=str
)
@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors are deprecated")
def test_cross_products_in_a_plane(shapes):
    assert bp.gradcheck(np.cross, *[RNG.normal(size=shape) for shape in shapes], order=2)


@pytest.mark.parametrize("f", [np.linalg.eigh, np.linalg.eig, np.linalg.svd, np.linalg.qr, np.linalg.slogdet])
def test_compiled_factorizations(f):
    """Named tuples in a recorded program, and in its rules."""
    p = bp.Tensor(REAL, requires_grad=True)

    def step(x):
        p.grad = None
        loss = np.sum(np.real(f(p * x)[1]) ** 2)
        loss.backward()
        return loss, p.grad

    compiled = bp.compile(step)
    for x in (1.0, 1.1, 1.2, 1.3):
        value, gradient = compiled(np.float64(x))
        expected = step(np.float64(x))
        np.testing.assert_allclose(value, expected[0].data)
        np.testing.assert_allclose(gradient, np.asarray(expected[1]))
