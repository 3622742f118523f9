"""Differentiate a plain NumPy function: fit a damped oscillation by Newton's method."""

import numpy as np

import tinygrad_bp as bp

t = np.linspace(0.0, 4.0, 50)
observed = 2.0 * np.exp(-0.5 * t) * np.cos(3.0 * t)


def misfit(p):
    amplitude, damping, frequency = p
    return np.sum((amplitude * np.exp(-damping * t) * np.cos(frequency * t) - observed) ** 2)


p = np.array([1.8, 0.4, 2.9])
for step in range(8):
    value, gradient = bp.value_and_grad(misfit)(p)
    print(f"step {step}: misfit {value:.3e}, p = {p.round(6)}")
    p = p - np.linalg.solve(bp.hessian(misfit)(p), gradient)
